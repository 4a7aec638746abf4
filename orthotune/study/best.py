"""Which trial of a study is its best, by its record alone."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from orthotune.record.confirmation import Best, best_searched
from orthotune.record.study_definition import TUNING
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.schema.fields import build, leaves
from orthotune.space.settings import RENAMED, ConfirmSettings, StudySettings


def find_best(
    definition: Mapping[str, Any],
    records: Sequence[TrialRecord],
    confirm: ConfirmSettings | None = None,
) -> Best | None:
    """The best trial, by the rule of `best.yaml`.

    Of a search the one that was confirmed to be; where nothing was, the first of those
    that ran as long as the longest one, but of a population none. Of an ablation, which
    has no such file, the best cell of the arm with the smallest mean over seeds.

    Args:
        definition: What the study asks, as its record has it.
        records: Its trials.
        confirm: What was begun to be confirmed, as its record has it.

    Returns:
        None if no trial has a result that can be compared.

    Example:
        >>> definition = {"metric": "val_error", "search.searcher": "tpe"}
        >>> records = [
        ...     TrialRecord(number=0, fields={}, history={1: {"val_error": 0.5}}),
        ...     TrialRecord(number=1, fields={}, history={1: {"val_error": 0.4}}),
        ... ]
        >>> best = find_best(definition, records)
        >>> best.record.number, best.value, best.confirmed
        (1, 0.4, False)
    """
    metric = definition["metric"]
    if "search.searcher" not in definition:  # its trials are listed
        best = _best_cell(records, metric)
        value = math.inf if best is None else best.last(metric)
        return best and Best(record=best, value=value, confirmed=True)
    asked = {
        RENAMED.get(name, name): value
        for name, value in definition.items()
        if name.startswith("search.")
    }
    if confirm is not None:
        asked |= {f"search.confirm.{name}": n for name, n in leaves(confirm)}
    settings = build(StudySettings, {"metric": metric, **asked})
    return best_searched(settings, records)


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
