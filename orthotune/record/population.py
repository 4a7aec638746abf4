"""Population-based training: the members of a population, and what they live through.

The trials of the population train side by side. Every `perturbation_epochs` they wait
for each other; then each of the worst quarter goes on from the state of one of the best
quarter, with perturbed settings (Jaderberg et al., 2017, arXiv 1711.09846). All are at
the same epoch then, so a copy never goes back in time.

What such a trial ends with is the best of many draws with one seed. So the schedules
that the best trials lived through are confirmed (`confirmation.py`).
"""

from collections.abc import Sequence

from orthotune.config.changes import CHANGEABLE
from orthotune.config.trial import TrialConfig
from orthotune.record.journal import Journal
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.space.parameters import Parameter


def population(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The members, or what was searched; not the trials that confirm it."""
    return [record for record in records if record.validates is None]


def is_member(study: Study, record: TrialRecord) -> bool:
    """Whether a trial belongs to a population."""
    return study.settings.search.is_population and record.validates is None


def open_members(study: Study, journal: Journal) -> list[TrialRecord]:
    """The members of a population that are to train on."""
    return [record for record in journal.open if is_member(study, record)]


def settings_at(
    config: TrialConfig, parameters: Sequence[Parameter], epoch: int
) -> dict[str, float]:
    """The settings that vary, by dotted name, as they are when `epoch` epochs are done.

    Args:
        config: What a member lived through.
        parameters: What varies.
        epoch: Epochs finished.
    """
    short = {field: name for name, field in CHANGEABLE.items()}
    return {
        parameter.name: config.value(short[parameter.name], epoch)
        for parameter in parameters
    }
