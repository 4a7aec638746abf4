"""Which trials of a study are the best, why, and the table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from orthotune.record.population import Validated, validated
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.report.in_effect import in_effect, settings_in_effect
from orthotune.space.parameters import Parameter
from orthotune.text import Rows, cell

BEST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Which trials are best, what the best came to, and why it is the best.

    Args:
        best: The equal-budget trials, best first; of a population those whose schedules
            were validated from scratch.
        value: The metric of the best, of a population the mean of its validations.
        why: What the best is, a sentence; empty if there is none.
        rows: The table of the best.
    """

    best: list[TrialRecord]
    value: float | None
    why: str
    rows: Rows


def rank(study: Study, records: Sequence[TrialRecord]) -> Ranking:
    """The ranking of a study's trials."""
    metric, parameters = study.settings.metric, study.space.parameters
    if study.settings.search.is_population:
        return _validated(study, records)
    best = equal_budget(records, metric)
    value, why = None, ""
    if best:
        value, epochs = best[0].last(metric), best[0].epoch
        why = f"trial {best[0].number}, {metric} {value:.4f} after {epochs} epochs."
    rows = best_rows(best, metric, parameters)
    return Ranking(best=best, value=value, why=why, rows=rows)


def _validated(study: Study, records: Sequence[TrialRecord]) -> Ranking:
    """A population, whose best is the one whose schedule is best from scratch."""
    metric = study.settings.metric
    items = validated(study, records)
    rows = population_rows(items, metric, study.space.parameters)
    complete = [item for item in items if item.complete]
    value, why = None, ""
    if complete:
        first, value = complete[0], complete[0].mean
        shown = ", ".join(f"{single:.4f}" for single in first.values)
        why = (
            f"what trial {first.record.number} lived through, {metric} {value:.4f} "
            f"from scratch (mean of {shown}; {first.record.last(metric):.4f} in the "
            "population)."
        )
    best = [item.record for item in complete]
    return Ranking(best=best, value=value, why=why, rows=rows)


def best_rows(
    best: Sequence[TrialRecord], metric: str, parameters: Sequence[Parameter]
) -> Rows:
    """The table of the best equal-budget trials, one a row.

    A dash stands for a value that is not in effect.

    Args:
        best: The trials, best first.
        metric: What the study minimizes.
        parameters: What it varies.
    """
    header = ["rank", "trial", metric, "epochs", *(_short(p.name) for p in parameters)]
    rows = []
    for place, record in enumerate(best[:BEST_SHOWN], 1):
        values = in_effect(parameters, record)
        rows.append(
            [
                str(place),
                str(record.number),
                f"{record.last(metric):.4f}",
                str(record.epoch),
                *(cell(values.get(p.name)) for p in parameters),
            ]
        )
    return [header, *rows]


def population_rows(
    items: Sequence[Validated], metric: str, parameters: Sequence[Parameter]
) -> Rows:
    """The table of the members of a population, one a row.

    Args:
        items: The members, best first.
        metric: What the study minimizes.
        parameters: What it varies; their first and last values are shown.
    """
    header = ["rank", "trial", f"mean {metric}", "sd", "seeds", "in population"]
    header += [_short(parameter.name) for parameter in parameters]
    rows = [
        [
            str(place) if item.complete else "-",
            str(item.record.number),
            f"{item.mean:.4f}" if item.values else "-",
            f"{statistics.stdev(item.values):.4f}" if len(item.values) > 1 else "-",
            str(len(item.values)),
            f"{item.record.last(metric):.4f}",
            *_ways(item.record, parameters),
        ]
        for place, item in enumerate(items[:BEST_SHOWN], 1)
    ]
    return [header, *rows]


def _ways(record: TrialRecord, parameters: Sequence[Parameter]) -> list[str]:
    """From where to where each setting went."""
    ends = (settings_in_effect(parameters, record, e) for e in (0, record.epoch))
    start, end = ([cell(one.get(p.name)) for p in parameters] for one in ends)
    return [
        first if first == last else f"{first} to {last}"
        for first, last in zip(start, end, strict=True)
    ]


def _short(name: str) -> str:
    return name.replace("regularizer", "reg").replace("modulation", "mod")
