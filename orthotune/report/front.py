"""What a search of several metrics has found: the front, in numbers and words."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orthotune.record.confirmation import find_confirmation
from orthotune.record.front import front, points
from orthotune.record.population import population
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.report.in_effect import in_effect
from orthotune.statistics.pareto import hypervolume
from orthotune.text import Rows, cell, counted, markdown_table

FIGURE = (
    "Every mark is a trial at its end, the lower and the further left the better. "
    "Those on the line are the front: no other trial is as good in every metric and "
    "better in one. The last panel is the hypervolume: the share that the trials so "
    "far dominate of the box between the best and the worst values that any of the "
    "{compared} with the longest budget has, metric by metric."
)
CONFIRMED = (
    "Means are from scratch with fresh seeds, without racing, and drawn as crosses: "
    "of a front none is simply the worse one. A member whose means another's dominate "
    "owes its place to luck."
)
NOISE = (
    "`epoch_time_s` is a measured time: it depends on the machine and on what else "
    "runs there, so that trials side by side disturb each other, and a repeated study "
    "has other times and, from them, other suggestions. A mean over seeds says more."
)


@dataclass(frozen=True, kw_only=True)
class FrontFindings:
    """The front of a study.

    Args:
        metrics: What it minimizes.
        compared: The trials of the longest budget.
        members: Those that no other dominates, the best in the first metric first.
        means: The means of members with fresh seeds, by number, where there are any;
            a run that diverged counts with what it reported, the worst error.
        num_seeds: How many seeds each of these has.
    """

    metrics: Sequence[str]
    compared: Sequence[TrialRecord]
    members: Sequence[TrialRecord]
    means: dict[int, tuple[float, ...]]
    num_seeds: dict[int, int]


def find_front(study: Study, records: Sequence[TrialRecord]) -> FrontFindings:
    """The front of a study of several metrics.

    Args:
        study: The study.
        records: Its trials.
    """
    metrics, searched = study.settings.objectives, population(records)
    means, num_seeds = {}, {}
    for one in find_confirmation(study.settings, records).candidates:
        runs = [
            run
            for run in records
            if run.validates == one.record.number
            and run.status in (Status.FINISHED, Status.DIVERGED)  # it counts, too
        ]
        if runs:
            columns = zip(*points(runs, metrics), strict=True)
            means[one.record.number] = tuple(map(statistics.fmean, columns))
            num_seeds[one.record.number] = len(runs)
    return FrontFindings(
        metrics=metrics,
        compared=equal_budget(searched, metrics[0]),
        members=front(searched, metrics),
        means=means,
        num_seeds=num_seeds,
    )


def volumes(
    found: Sequence[TrialRecord], metrics: Sequence[str]
) -> list[tuple[int, float]]:
    """How much of the box the trials dominate, each with those before it.

    Args:
        found: Trials of equal budget, in the order in which they count.
        metrics: What is minimized.

    Returns:
        The number of each trial and the share from then on.

    Example:
        >>> records = [
        ...     TrialRecord(number=n, fields={}, history={1: {"a": a, "b": b}})
        ...     for n, (a, b) in enumerate([(4.0, 4.0), (2.0, 2.0), (0.0, 4.0)])
        ... ]
        >>> volumes(records, ["a", "b"])
        [(0, 0.0), (1, 0.5), (2, 0.5)]
    """
    if not found:
        return []
    values = np.asarray(points(found, metrics))
    span = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(span > 0, span, 1.0)
    reference = [1.0] * len(metrics)
    return [
        (record.number, hypervolume(scaled[: count + 1], reference))
        for count, record in enumerate(found)
    ]


def front_rows(study: Study, found: FrontFindings) -> Rows:
    """The table of the front, a row a member.

    Args:
        study: The study.
        found: Its front.
    """
    parameters = study.space.parameters
    confirmed = [*(f"mean {name}" for name in found.metrics), "seeds"]
    confirmed = confirmed if found.means else []
    header = ["trial", *found.metrics, *confirmed, *(p.name for p in parameters)]
    rows = []
    for record in found.members:
        values = in_effect(parameters, record)
        means = found.means.get(record.number)
        shown = ["-"] * len(found.metrics) if means is None else map(number, means)
        seeds = str(found.num_seeds.get(record.number, 0))
        rows.append(
            [
                str(record.number),
                *(number(record.last(name)) for name in found.metrics),
                *([*shown, seeds] if confirmed else []),
                *(cell(values.get(p.name)) for p in parameters),
            ]
        )
    return [header, *rows]


def number(value: float) -> str:
    """A metric for a table, however large.

    Example:
        >>> number(0.12345), number(252887680.0)
        ('0.1235', '252,887,680')
    """
    return f"{value:.4f}" if value < 1000 else f"{value:,.0f}"


def front_text(study: Study, found: FrontFindings) -> str:
    """The front in a sentence.

    Args:
        study: The study.
        found: Its front.
    """
    compared = counted(len(found.compared), "trial")
    best = ", ".join(
        f"the smallest `{name}` is {number(min(r.last(name) for r in found.members))}"
        for name in found.metrics
    )
    return (
        f"{len(found.members)} of the {compared} that ran "
        f"{study.settings.search.max_epochs} epochs; {best}."
    )


def front_part(
    study: Study, records: Sequence[TrialRecord], figure: Sequence[str]
) -> list[str]:
    """The front's part of a report; nothing for one metric.

    Args:
        study: The study.
        records: Its trials.
        figure: The figure as Markdown, if it was drawn.
    """
    if not study.settings.objectives[1:]:
        return []
    found = find_front(study, records)
    text = [FIGURE.format(compared=counted(len(found.compared), "trial"))]
    text += [CONFIRMED] if found.means else []
    text += [NOISE] if "epoch_time_s" in found.metrics else []
    table = markdown_table(front_rows(study, found)) if found.members else ""
    return ["## The front", *figure, " ".join(text), *filter(None, [table])]
