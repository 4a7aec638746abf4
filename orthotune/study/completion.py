"""Whether a study is complete, and which failed trials run again."""

from collections.abc import Sequence

from orthotune.record.confirmation import find_confirmation
from orthotune.record.journal import Journal
from orthotune.record.population import population
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.tune.stopper import all_failed_alike


def is_finished(study: Study, journal: Journal) -> bool:
    """Whether nothing is left to run."""
    search = study.settings.search
    if to_repeat(study, journal):
        return False
    if search.time_budget_s is not None and journal.spent_s >= search.time_budget_s:
        return True
    if not is_searched(study, journal) or journal.confirming:
        return False
    return (
        bool(study.listed) or not find_confirmation(study.settings, journal.records).due
    )


def is_searched(study: Study, journal: Journal) -> bool:
    """Whether every trial there is to be has ended, but for those that confirm."""
    if study.searched:
        return True
    return not population(journal.open) and _drawn(study, journal)


def to_repeat(study: Study, journal: Journal) -> Sequence[TrialRecord]:
    """The failed trials that a new session runs again.

    All of a list, in which none can take another's place; of a search only those that
    nothing else has survived. None where a search is but confirmed.
    """
    if study.searched:
        return []
    if not study.listed:
        return all_failed_alike(journal)
    return [record for record in journal.records if record.status == Status.FAILED]


def _drawn(study: Study, journal: Journal) -> bool:
    """Whether there are all the trials that are listed or to be suggested."""
    if study.listed:
        return journal.exhausted
    wanted = study.num_searched
    return journal.exhausted or len(population(journal.records)) >= wanted
