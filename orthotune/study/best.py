"""Which trial of a study is its best, by its record alone."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orthotune.record.population import validated
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import TUNING, Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.schema.fields import build
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import StudySettings


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best trial of a study.

    Args:
        record: The trial.
        value: The metric at its end; of a population the mean over the seeds with which
            its schedule was validated.
    """

    record: TrialRecord
    value: float


def find_best(
    definition: Mapping[str, Any], records: Sequence[TrialRecord]
) -> Best | None:
    """The best trial, by the rule of `best.yaml`.

    Of a search the best of those that ran as long as the longest one; of a population
    the member whose schedule was best from scratch; of an ablation, which has no such
    file, the best cell of the arm with the smallest mean over seeds.

    Args:
        definition: What the study asks, as its record has it.
        records: Its trials.

    Returns:
        None if no trial has a result that can be compared.

    Example:
        >>> definition = {"metric": "val_error", "search.searcher": "tpe"}
        >>> records = [
        ...     TrialRecord(number=0, fields={}, history={1: {"val_error": 0.5}}),
        ...     TrialRecord(number=1, fields={}, history={1: {"val_error": 0.4}}),
        ... ]
        >>> best = find_best(definition, records)
        >>> best.record.number, best.value
        (1, 0.4)
    """
    metric = definition["metric"]
    if "search.searcher" not in definition:  # its trials are listed
        best = _best_cell(records, metric)
        return None if best is None else Best(record=best, value=best.last(metric))
    asked = {n: v for n, v in definition.items() if n.startswith("search.")}
    settings = build(StudySettings, {"metric": metric, **asked})
    if settings.search.is_population:
        space = SearchSpace(parameters=())
        study = Study(path=settings.name, settings=settings, space=space)
        complete = [one for one in validated(study, records) if one.complete]
        found = [Best(record=one.record, value=one.mean) for one in complete]
    else:
        compared = equal_budget(records, metric)
        found = [Best(record=one, value=one.last(metric)) for one in compared[:1]]
    return next(iter(found), None)


def _best_cell(records: Sequence[TrialRecord], metric: str) -> TrialRecord | None:
    arms: defaultdict[str, list[TrialRecord]] = defaultdict(list)
    for record in records:
        group = record.group or ""
        ended = record.status in (Status.FINISHED, Status.DIVERGED) and record.epoch
        if ended and not group.startswith(TUNING):
            arms[group].append(record)
    if not arms:
        return None

    def mean(cells: Sequence[TrialRecord]) -> float:
        return statistics.fmean(record.last(metric) for record in cells)

    best = min(arms.values(), key=mean)
    whole = [record for record in best if record.status == Status.FINISHED]
    return min(whole, key=lambda record: record.last(metric), default=None)
