"""Confirmation: the best trials of a search, trained again with seeds of their own.

The best of many trials owes some of its value to luck: it was chosen for it (the
winner's curse). So the best ones are trained again from scratch with fresh seeds, as
trials of the same study that no searcher sees, and only these say which is best. Of a
population, whose members end with what was the best of many draws with one seed, it is
the schedules they lived through.

What is to run next follows from the settings and the record alone, so that a study
which dies in its confirmation goes on as if it had not.
"""

import dataclasses
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError
from orthotune.record.front import front, spread_front
from orthotune.record.identity import Fingerprints, trial_key
from orthotune.record.journal import Journal
from orthotune.record.population import population
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.space.settings import ConfirmSettings, StudySettings
from orthotune.statistics.racing import Race, Values, race


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trial of the search, and what its configuration gave with fresh seeds.

    Args:
        record: The trial.
        value: Its metric in the search.
        values: The metric of every run that has ended with one, in the order of the
            seeds; the worst there is for one that diverged.
        left_after: The seeds after which it left the race; None if it is in.
        failed: Whether it left because a run of it ended without a value.
        complete: Whether it has a value of every seed.
    """

    record: TrialRecord
    value: float
    values: Sequence[float]
    left_after: int | None
    failed: bool
    complete: bool

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return statistics.fmean(self.values)

    @property
    def curse(self) -> float:
        """What the mean is above the value that the search saw."""
        return self.mean - self.value


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """How far the confirmation of a study has come.

    Args:
        candidates: Best first: those with a value of every seed by their mean, then
            those that were in the race for longer, then by their place in the search.
        due: The number of the trial and the fields of every run that is to be
            suggested now.
        num_left: The most runs that there can still be, those under way included.
    """

    candidates: Sequence[Candidate]
    due: Sequence[tuple[int, dict[str, Any]]]
    num_left: int

    @property
    def complete(self) -> list[Candidate]:
        """The candidates that are confirmed, best first."""
        return [one for one in self.candidates if one.complete]


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best trial of a search.

    Args:
        record: The trial.
        value: Its metric: the mean over the seeds that confirm it, or its own.
        confirmed: Whether it was confirmed; else it is but the first in the search.
    """

    record: TrialRecord
    value: float
    confirmed: bool


def find_confirmation(
    settings: StudySettings, records: Sequence[TrialRecord]
) -> Confirmation:
    """How far the confirmation of a study has come.

    Args:
        settings: The study's.
        records: Its trials; what is due is so once the search has ended.
    """
    found = candidates(settings, records)
    seeds = fresh_seeds(settings, records)
    outcomes = [_outcomes(settings.metric, one, seeds, records) for one in found]
    runs = [record for record in records if record.validates is not None]
    numbers = [record.number for record in found]
    diverged = {
        (numbers.index(run.validates), seeds.index(_seed(run)))
        for run in runs
        if run.status == Status.DIVERGED
        and run.validates in numbers
        and _seed(run) in seeds
    }
    if settings.objectives[1:]:
        raced = _all_rounds(outcomes, len(seeds))
    else:
        raced = race(outcomes, len(seeds), diverged=diverged)
    known = {(run.validates, _seed(run)) for run in runs}
    due = [
        (found[one].number, {**found[one].trained, "seed": seeds[number]})
        for one, number in raced.needed
        if (found[one].number, seeds[number]) not in known
    ]
    standing = [
        _candidate(settings.metric, record, outcomes[one], raced, one, len(seeds))
        for one, record in enumerate(found)
    ]
    left = [len(seeds) - len(outcomes[one]) for one in raced.standing]
    return Confirmation(
        candidates=sorted(standing, key=_place),
        due=due,
        num_left=sum(left) if raced.needed else 0,
    )


def _all_rounds(outcomes: Sequence[Values], rounds: int) -> Race:
    """Every candidate with every seed: of a front none is simply the worse one."""
    failed = frozenset(n for n, one in enumerate(outcomes) if None in one.values())
    needed = [
        (one, number)
        for number in range(rounds)
        for one, known in enumerate(outcomes)
        if one not in failed and number not in known
    ]
    left = [len(one) if n in failed else None for n, one in enumerate(outcomes)]
    return Race(left_after=left, failed=failed, needed=needed)


def candidates(
    settings: StudySettings, records: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """The trials that are confirmed, as the search ranks them.

    The best of those with a full budget, of equal configurations the first; and
    whatever was begun to be confirmed before more trials came. Of several metrics those
    of the front, spread over it.

    Args:
        settings: The study's.
        records: Its trials.
    """
    begun = {record.validates for record in records}
    found: list[TrialRecord] = []
    distinct: set[str] = set()
    for record in _in_question(settings, records):
        wanted = False
        if record.status == Status.FINISHED and _is_room(settings, distinct):
            key = json.dumps(_without_seed(record), sort_keys=True)
            wanted = key not in distinct
            distinct.add(key)
        if wanted or record.number in begun:
            found.append(record)
    return found


def _without_seed(record: TrialRecord) -> dict[str, Any]:
    """What is equal for equal configurations."""
    trained = {**record.trained, "seed": 0}
    try:
        return TrialConfig.from_dict(trained).canonical()
    except ConfigError:  # of an older version, or a plugin's that is not imported
        return trained


def _in_question(
    settings: StudySettings, records: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """The trials that may be candidates, best first."""
    compared, metrics = population(records), settings.objectives
    if not metrics[1:]:
        return equal_budget(compared, settings.metric)
    full = [one for one in front(compared, metrics) if one.status == Status.FINISHED]
    begun = {record.validates for record in records}
    known = [one for one in equal_budget(compared, metrics[0]) if one.number in begun]
    kept = spread_front(full, metrics, settings.search.confirm.top)
    return [*kept, *(one for one in known if one not in kept)]


def _is_room(settings: StudySettings, distinct: set[str]) -> bool:
    return len(distinct) < settings.search.confirm.top


def fresh_seeds(
    settings: StudySettings, records: Sequence[TrialRecord]
) -> Sequence[int]:
    """The seeds of the confirmation: those that follow the search's.

    Args:
        settings: The study's.
        records: Its trials.
    """
    own = [_seed(record) for record in records if record.validates is not None]
    first = min(own, default=1 + max(map(_seed, population(records)), default=0))
    return range(first, first + settings.search.confirm.seeds)


def _seed(record: TrialRecord) -> int:
    return record.trained.get("seed", 0)


def _outcomes(
    metric: str,
    candidate: TrialRecord,
    seeds: Sequence[int],
    records: Sequence[TrialRecord],
) -> Values:
    """What a candidate has come to, by round; of what has not ended nothing."""
    return {
        seeds.index(_seed(run)): (
            run.last(metric)
            if run.status in (Status.FINISHED, Status.DIVERGED)
            else None
        )
        for run in records
        if run.validates == candidate.number
        and run.status.ended
        and _seed(run) in seeds
    }


def _candidate(
    metric: str,
    record: TrialRecord,
    outcomes: Values,
    raced: Race,
    place: int,
    num_seeds: int,
) -> Candidate:
    by_seed = [outcomes[number] for number in sorted(outcomes)]
    values = [value for value in by_seed if value is not None]
    return Candidate(
        record=record,
        value=record.last(metric),
        values=values,
        left_after=raced.left_after[place],
        failed=place in raced.failed,
        complete=len(values) == num_seeds,
    )


def _place(item: Candidate) -> tuple[bool, float, float]:
    if item.complete:
        return False, 0.0, item.mean
    return True, -(item.left_after or float("inf")), item.mean if item.values else 0.0


def best_searched(
    settings: StudySettings, records: Sequence[TrialRecord]
) -> Best | None:
    """Which trial of a search is best: everything that says so asks here.

    The candidate with the best mean over all fresh seeds. Where nothing was confirmed,
    of a population none, of another search the first of those that ran the longest
    budget. Of several metrics none: there is a front.

    Args:
        settings: The study's.
        records: Its trials.

    Returns:
        None if no trial has a result that can be compared.

    Example:
        >>> records = [
        ...     TrialRecord(number=0, fields={}, history={1: {"val_error": 0.5}}),
        ...     TrialRecord(number=1, fields={}, history={1: {"val_error": 0.4}}),
        ... ]
        >>> best = best_searched(StudySettings(), records)
        >>> best.record.number, best.value, best.confirmed
        (1, 0.4, False)
    """
    if settings.objectives[1:]:
        return None
    for first in find_confirmation(settings, records).complete[:1]:
        return Best(record=first.record, value=first.mean, confirmed=True)
    if settings.search.is_population:
        return None
    for record in equal_budget(population(records), settings.metric)[:1]:
        value = record.last(settings.metric)
        return Best(record=record, value=value, confirmed=False)
    return None


def suggest_due(study: Study, journal: Journal, fingerprints: Fingerprints) -> None:
    """Add the runs that are due now to a study whose search has ended.

    Args:
        study: The study.
        journal: Its record.
        fingerprints: Of every data set it names.

    Raises:
        StudyError: If the record cannot be written.
    """
    due = find_confirmation(study.settings, journal.records).due
    if due:
        journal.begin_confirmation(study.settings.search.confirm)
    for number, fields in due:
        journal.suggest(trial_key(fields, fingerprints), fields, number)


def with_recorded(study: Study, journal: Journal) -> Study:
    """A study with the confirmation that was begun, where that is more than it asks.

    Args:
        study: As its file says.
        journal: Its record.
    """
    return with_begun(study, journal.confirm)


def with_begun(study: Study, begun: ConfirmSettings | None) -> Study:
    """The same, of what was begun to be confirmed; None for nothing."""
    search = study.settings.search
    if begun is None:
        return study
    asked = search.confirm if search.confirm.top else begun
    top, seeds = max(asked.top, begun.top), max(asked.seeds, begun.seeds)
    confirm = ConfirmSettings(top=top, seeds=seeds)
    search = dataclasses.replace(search, confirm=confirm)
    settings = dataclasses.replace(study.settings, search=search)
    return dataclasses.replace(study, settings=settings)
