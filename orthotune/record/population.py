"""Population-based training: the members, and the trials that validate what they found.

The trials of the population train side by side. Every `perturbation_epochs` they wait
for each other; then each of the worst quarter goes on from the state of one of the best
quarter, with perturbed settings (Jaderberg et al., 2017, arXiv 1711.09846). All are at
the same epoch then, so a copy never goes back in time.

What such a trial ends with is the best of many draws with one seed. So the schedules
that the best trials lived through are trained again from scratch, with other seeds, as
trials of the same study; only their mean says which is best.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orthotune.config.changes import CHANGEABLE
from orthotune.config.trial import TrialConfig
from orthotune.record.journal import Journal
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.space.parameters import Parameter
from orthotune.space.settings import VALIDATED_SCHEDULES


def population(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The members; not the trials that validate their schedules."""
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


def missing_validations(
    study: Study, records: Sequence[TrialRecord]
) -> list[tuple[int, dict[str, Any]]]:
    """Number of the member and fields of every validation that is yet to be suggested.

    Args:
        study: The study.
        records: Its trials; the population has ended.
    """
    best: dict[TrialConfig, TrialRecord] = {}  # of equal schedules the first
    for record in equal_budget(population(records), study.settings.metric):
        best.setdefault(TrialConfig.from_dict(record.trained), record)
    wanted = []
    for config, record in list(best.items())[:VALIDATED_SCHEDULES]:
        own = config.seed
        for seed in range(1, study.settings.search.validation_seeds + 1):
            wanted.append((record.number, {**record.trained, "seed": own + seed}))
    # A session may have died between two.
    return wanted[len(records) - len(population(records)) :]


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A member of the population, and what its schedule gave from scratch.

    Args:
        record: The member.
        values: The metric of every validation that ran its full budget; the worst
            there is for one that diverged.
        complete: Whether every validation has ended with a value.
    """

    record: TrialRecord
    values: list[float]
    complete: bool

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return statistics.fmean(self.values)


def validated(study: Study, records: Sequence[TrialRecord]) -> list[Validated]:
    """The members with a full budget, best first.

    Validated ones by their mean; the others after them, by their value in the
    population.
    """
    metric = study.settings.metric
    found = []
    for record in equal_budget(population(records), metric):
        own = [trial for trial in records if trial.validates == record.number]
        values = [
            trial.last(metric)
            for trial in own
            if trial.status in (Status.FINISHED, Status.DIVERGED)
        ]
        complete = len(values) == study.settings.search.validation_seeds
        found.append(Validated(record=record, values=values, complete=complete))
    return sorted(found, key=lambda item: (not item.complete, _rank(item)))


def _rank(item: Validated) -> float:
    return item.mean if item.complete else 0.0
