"""Budget and schedules of a search, as SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.config.changes import CHANGEABLE
from orthotune.config.trial import TrialConfig
from orthotune.figures.drawing import (
    COLOURS,
    GREY,
    colour,
    draw_svg,
    is_wide,
    style,
    tell_small_apart,
    thinned,
)
from orthotune.figures.live import INK, MOST_POINTS, Live, Trace, plain, upward
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.training.curves import curves

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0
POINTS = 240
"""Moments of a training at which its settings are drawn."""

# Told apart by shape and fill too.
STYLES: dict[Status, dict[str, Any]] = {
    Status.FINISHED: {"marker": "o", "color": COLOURS[0], "label": "full budget"},
    Status.STOPPED: {
        "marker": "o",
        "facecolors": "none",
        "edgecolors": GREY,
        "label": "stopped early",
    },
    Status.RUNNING: {
        "marker": "s",
        "facecolors": "none",
        "edgecolors": COLOURS[2],
        "label": "running",
    },
    Status.INTERRUPTED: {
        "marker": "s",
        "facecolors": "none",
        "edgecolors": GREY,
        "label": "interrupted",
    },
    Status.DIVERGED: {"marker": "x", "color": COLOURS[1], "label": "diverged"},
    Status.OOM: {"marker": "+", "color": COLOURS[1], "label": "out of memory"},
}
LIVE_STYLES: dict[Status, Trace] = {
    Status.FINISHED: {"symbol": "circle", "color": COLOURS[0]},
    Status.STOPPED: {"symbol": "circle-open", "color": GREY},
    Status.RUNNING: {"symbol": "square-open", "color": COLOURS[2]},
    Status.INTERRUPTED: {"symbol": "square-open", "color": GREY},
    Status.DIVERGED: {"symbol": "x", "color": COLOURS[1]},
    Status.OOM: {"symbol": "cross", "color": COLOURS[1]},
}
"""The same marks, as plotly names them."""

WORST = (Status.DIVERGED, Status.OOM)
"""What has no value to speak of, and stands at the upper edge."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Training epochs that all trials had spent, in the order they were reported.

    Args:
        at: When each trial reported its last epoch, by its number.
        total: In the end.
    """

    at: Mapping[int, int]
    total: int


def spending(records: Sequence[TrialRecord]) -> Spending:
    """What the trials spent.

    Example:
        >>> one, two = (TrialRecord(number=n, fields={}) for n in range(2))
        >>> one.history, two.history = {1: {}, 2: {}}, {1: {}}
        >>> one.reported_ms, two.reported_ms = {1: 5, 2: 9}, {1: 7}
        >>> spending([one, two])
        Spending(at={0: 3, 1: 2}, total=3)
    """
    reports = sorted(
        (record.reported_ms.get(epoch, record.started_ms), record.number, epoch)
        for record in records
        for epoch in record.history
    )
    spent = {number: n for n, (_, number, _) in enumerate(reports, 1)}
    return Spending(at=dict(sorted(spent.items())), total=len(reports))


def best_so_far(
    metric: str, compared: Sequence[TrialRecord], spent: Spending
) -> list[tuple[int, float]]:
    """Epochs spent and the best value by then, at the end of every trial and at last.

    Args:
        metric: What is minimized.
        compared: The trials of equal budget.
        spent: What all trials spent.
    """
    best, steps = math.inf, []
    for record in sorted(compared, key=lambda record: spent.at[record.number]):
        best = min(best, record.last(metric))
        steps.append((spent.at[record.number], best))
    return [*steps, (spent.total, best)] if steps else []


def draw_budget(
    path: Path,
    metric: str,
    records: Sequence[TrialRecord],
    compared: Sequence[TrialRecord],
) -> None:
    """The best value so far against the epochs spent, and every trial at its end.

    Args:
        path: The file.
        metric: What is minimized.
        records: The trials; those without a result are left out.
        compared: Those of equal budget.
    """
    shown = [record for record in records if record.history]
    spent = spending(shown)

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        steps = best_so_far(metric, compared, spent)
        if steps:
            x, y = zip(*steps, strict=True)
            line = {"color": "black", "zorder": 3, "label": "lowest so far"}
            axes.step(x, y, where="post", **line)
        _scatter(axes, metric, shown, spent)
        axes.set_xlim(left=0)
        axes.set_xlabel("training epochs spent by all trials")
        axes.set_ylabel(metric)
        if shown:
            figure.legend(loc="outside upper center", ncols=6, fontsize="small")

    draw_svg(path, (WIDTH, 4.0), draw)


def _scatter(
    axes: "Axes", metric: str, records: Sequence[TrialRecord], spent: Spending
) -> None:
    """Every trial; those that have no value to speak of at the upper edge."""
    values = {r.number: r.last(metric) for r in records if r.status not in WORST}
    tell_small_apart(axes, list(values.values()))
    top = max(values.values(), default=1.0)
    for status, how in STYLES.items():
        own = [record for record in records if record.status == status]
        if own:
            x = [spent.at[record.number] for record in own]
            y = [values.get(record.number, top) for record in own]
            axes.scatter(x, y, s=24, **how)


def live_budget(
    metric: str, records: Sequence[TrialRecord], compared: Sequence[TrialRecord]
) -> Live:
    """The same as `draw_budget`, answering.

    Args:
        metric: What is minimized.
        records: The trials; those without a result are left out.
        compared: Those of equal budget.
    """
    shown = [record for record in records if record.history]
    spent = spending(shown)
    sound = [r.last(metric) for r in shown if r.status not in WORST]
    up = upward(sound)
    points = points_by_status(
        shown,
        x=lambda record: spent.at[record.number],
        y=lambda record: up.high if record.status in WORST else record.last(metric),
        place=up.place,
    )
    steps = best_so_far(metric, compared, spent)
    best: Trace = {
        "type": "scatter",
        "mode": "lines",
        "name": "lowest so far",
        "x": [epochs for epochs, _ in steps],
        "y": [up.place(value) for _, value in steps],
        "line": {"shape": "hv", "color": INK},
    }
    layout = {
        "xaxis": {"title": {"text": "training epochs spent by all trials"}},
        "yaxis": {**up.axis, "title": {"text": plain(metric)}},
    }
    return Live(traces=[best, *points], layout=layout)


def points_by_status(
    records: Sequence[TrialRecord],
    *,
    x: Callable[[TrialRecord], float],
    y: Callable[[TrialRecord], float],
    place: Callable[[float], float],
) -> list[Trace]:
    """Every trial as a mark that answers, a trace for each way in which they ended.

    Args:
        records: The trials; very many are thinned.
        x: Where a trial stands across.
        y: Its value.
        place: Where a value stands upward.
    """
    traces = []
    for status, marker in LIVE_STYLES.items():
        own = thinned([r for r in records if r.status == status], MOST_POINTS)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": STYLES[status]["label"],
                "x": [x(record) for record in own],
                "y": [place(y(record)) for record in own],
                "customdata": [str(record.number) for record in own],
                "marker": {"size": 8, **marker},
            }
        )
    return [trace for trace in traces if trace["x"]]


def draw_schedules(path: Path, records: Sequence[TrialRecord]) -> None:
    """The settings of trials over their training, a panel each.

    Args:
        path: The file.
        records: The trials; what they lived through is drawn where they have.
    """
    configs = {r.number: TrialConfig.from_dict(r.trained) for r in records}

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(2, 2, sharex=True).flatten().tolist()
        drawn = {number: curves(c, POINTS) for number, c in configs.items()}
        for axes, (name, field) in zip(panels, CHANGEABLE.items(), strict=True):
            for index, (number, settings) in enumerate(drawn.items()):
                if name in settings:
                    total = configs[number].training.num_epochs
                    epochs = [total * (k + 0.5) / POINTS for k in range(POINTS)]
                    how = {"color": colour(index), "label": f"trial {number}"}
                    axes.plot(epochs, settings[name], style(index), **how)
            highest = [max(one[name]) for one in drawn.values() if name in one]
            if is_wide(highest):
                axes.set_yscale("log")
            elif highest:
                axes.set_ylim(bottom=0)
            else:
                axes.text(0.5, 0.5, "off", ha="center", transform=axes.transAxes)
                axes.set_yticks([])
            axes.set_title(field, fontsize="medium")
        for axes in panels[2:]:
            axes.set_xlabel("epoch")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)

    draw_svg(path, (WIDTH, 5.0), draw)
