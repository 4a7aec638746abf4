"""Which trials of a study are the best, why, and the table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from orthotune.record.confirmation import (
    Candidate,
    Confirmation,
    best_searched,
    find_confirmation,
)
from orthotune.record.population import population
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.report.front import find_front, front_rows, front_text
from orthotune.report.in_effect import in_effect, settings_in_effect
from orthotune.space.parameters import Parameter
from orthotune.text import Rows, cell, counted

BEST_SHOWN = 5
"""Trials that are shown; of those that are confirmed all are."""

MOST_VALUES = 8
"""Values of a mean that are shown one by one."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Which trials are best, what the best came to, and why it is the best.

    Args:
        best: The confirmed trials, best first; where none is, the equal-budget trials
            of a search, of a population none.
        value: The metric of the best: the mean over its fresh seeds, or its own.
        confirmed: Whether the best was confirmed; else it is but first in the search.
        why: What the best is, a sentence; empty if there is none.
        race: What else the confirmation says, sentences.
        rows: The table of the best.
        is_front: Whether the best are a front, none of which is better than another.
    """

    best: list[TrialRecord]
    value: float | None
    confirmed: bool
    why: str
    race: Sequence[str]
    rows: Rows
    is_front: bool = False

    @property
    def title(self) -> str:
        """What the best may be called."""
        if self.is_front:
            return "The front"
        return "The best" if self.confirmed else "First in the search, not confirmed"


def rank(study: Study, records: Sequence[TrialRecord]) -> Ranking:
    """The ranking of a study's trials."""
    if study.settings.objectives[1:]:
        return _front(study, records)
    metric, parameters = study.settings.metric, study.space.parameters
    is_population = study.settings.search.is_population
    confirmation = find_confirmation(study.settings, records)
    searched = equal_budget(population(records), metric)
    first, complete = best_searched(study.settings, records), confirmation.complete
    rows = best_rows(searched, metric, parameters)
    if is_population or any(one.values for one in confirmation.candidates):
        rows = _confirmed_rows(study, confirmation, searched)
    why = ""
    if first is not None:
        why = f"trial {first.record.number}, {metric} {first.value:.4f} after "
        why += f"{first.record.epoch} epochs."
    if complete:
        why = _why(complete[0], metric, is_population=is_population)
        searched = [item.record for item in complete]
    return Ranking(
        best=searched if first is not None else [],
        value=None if first is None else first.value,
        confirmed=bool(complete),
        why=why,
        race=_race(confirmation, metric) if complete else [],
        rows=rows,
    )


def _front(study: Study, records: Sequence[TrialRecord]) -> Ranking:
    found = find_front(study, records)
    return Ranking(
        best=list(found.members),
        value=None,
        confirmed=bool(found.means),
        why=front_text(study, found) if found.members else "",
        race=[],
        rows=front_rows(study, found),
        is_front=True,
    )


def _why(best: Candidate, metric: str, *, is_population: bool) -> str:
    who, where = f"trial {best.record.number}", "search"
    if is_population:
        who, where = f"what {who} lived through", "population"
    shown = ", ".join(f"{single:.4f}" for single in best.values)
    if len(best.values) > MOST_VALUES:
        shown = f"{len(best.values)} seeds"
    return (
        f"{who}, {metric} {best.mean:.4f} from scratch with fresh seeds (mean of "
        f"{shown}; {best.value:.4f} in the {where})."
    )


def _race(confirmation: Confirmation, metric: str) -> list[str]:
    """What the race says beside who is best."""
    known = [one for one in confirmation.candidates if one.values]
    curse = statistics.fmean(one.curse for one in known)
    way = "lower" if curse < 0 else "higher"
    sentences = [
        f"Winner's curse: with fresh seeds {metric} is {abs(curse):.4f} {way} than the "
        f"search saw, on average over {counted(len(known), 'candidate')}."
    ]
    others = [o for o in confirmation.complete[1:] if o.left_after is None]
    if others:
        numbers = ", ".join(str(one.record.number) for one in others)
        sentences.append(
            f"Not worse than the best beyond doubt: {counted(len(others), 'trial')} "
            f"({numbers})."
        )
    return sentences


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
    rows = [
        [
            str(place),
            str(record.number),
            f"{record.last(metric):.4f}",
            str(record.epoch),
            *_values(record, parameters),
        ]
        for place, record in enumerate(best[:BEST_SHOWN], 1)
    ]
    return [header, *rows]


def _confirmed_rows(
    study: Study, confirmation: Confirmation, searched: Sequence[TrialRecord]
) -> Rows:
    """The table of the candidates, one a row, and of those that follow them.

    Of a population the first and last values of what it varies are shown.
    """
    metric, parameters = study.settings.metric, study.space.parameters
    is_population = study.settings.search.is_population
    show = _ways if is_population else _values
    where = "in population" if is_population else "in search"
    header = ["rank", "trial", f"mean {metric}", "95 % interval", "seeds"]
    header += [where, "curse", "race", *(_short(p.name) for p in parameters)]
    rows = [
        [
            str(place) if item.complete else "-",
            str(item.record.number),
            f"{item.mean:.4f}" if item.values else "-",
            _interval(item),
            str(len(item.values)),
            f"{item.value:.4f}",
            f"{item.curse:+.4f}" if item.values else "-",
            _end(item),
            *show(item.record, parameters),
        ]
        for place, item in enumerate(confirmation.candidates, 1)
    ]
    known = {item.record.number for item in confirmation.candidates}
    for record in searched:
        if len(rows) < BEST_SHOWN and record.number not in known:
            value = f"{record.last(metric):.4f}"
            row = ["-", str(record.number), "-", "-", "0", value, "-", "-"]
            rows.append([*row, *show(record, parameters)])
    return [header, *rows]


def _interval(item: Candidate) -> str:
    if len(item.values) < 2:
        return "-"
    from orthotune.statistics.paired import summarize  # it takes a second to import

    found = summarize(item.values, [False] * len(item.values)).interval
    return "-" if found is None else f"[{found.low:.4f}, {found.high:.4f}]"


def _end(item: Candidate) -> str:
    """How a candidate has come through the race."""
    if item.failed:
        return "a run failed"
    if item.left_after is not None:
        return f"left after {item.left_after}"
    return "to the end" if item.complete else "in it"


def _values(record: TrialRecord, parameters: Sequence[Parameter]) -> list[str]:
    values = in_effect(parameters, record)
    return [cell(values.get(parameter.name)) for parameter in parameters]


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
