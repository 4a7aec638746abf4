"""Learning curves of a search: how every trial came to its end, and what stopped it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orthotune.figures.drawing import (
    COLOURS,
    GREY,
    draw_svg,
    style,
    tell_small_apart,
    thinned,
)
from orthotune.figures.live import INK, Live, Trace, Upward, plain, upward
from orthotune.record.trial_record import WITHOUT_VALUE, Status, TrialRecord
from orthotune.space.rungs import rungs
from orthotune.space.settings import SearchSettings

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0
FEW_LINES = 60
"""Lines up to which they are thicker, and hardly show through."""

RUNG_COLOURS = (COLOURS[6], COLOURS[3], COLOURS[4], COLOURS[5], COLOURS[2])
"""Of trials stopped at the first rung, the second, ..."""

_OTHER = {
    Status.FINISHED: ("full budget", COLOURS[0], "-", "o"),
    Status.DIVERGED: ("diverged", COLOURS[1], "-", "x"),
    Status.OOM: ("out of memory", COLOURS[1], "-", "+"),
    Status.FAILED: ("failed", COLOURS[1], ":", "^"),
}
_DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
_OPEN = ("not ended", GREY, ":", "s")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Trials that ended alike.

    Args:
        label: How, in words.
        colour: Of their lines.
        style: Of their lines, so that they are told apart without colour too.
        marker: Where the lines end.
        records: The trials.
    """

    label: str
    colour: str
    style: str
    marker: str
    records: Sequence[TrialRecord]


def compared_at(search: SearchSettings) -> list[int]:
    """The epochs at which trials are compared and the worse ones do not go on.

    Example:
        >>> compared_at(SearchSettings(max_epochs=16, grace_epochs=4))
        [4, 12]
        >>> compared_at(
        ...     SearchSettings(max_epochs=16, scheduler="pbt", perturbation_epochs=5)
        ... )
        [5, 10, 15]
    """
    if search.is_population:
        every = search.perturbation_epochs
        return list(range(every, search.max_epochs, every))
    return rungs(search)


def kinds(records: Sequence[TrialRecord]) -> list[Kind]:
    """The trials by how they ended: those stopped, rung by rung, then the others.

    Args:
        records: The trials.
    """
    ends = {r.epoch for r in records if r.status == Status.STOPPED}
    found = []
    for index, epoch in enumerate(sorted(ends)):
        stopped = f"stopped at epoch {epoch}"
        look = RUNG_COLOURS[index % len(RUNG_COLOURS)], style(index + 1), "."
        own = [r for r in records if (r.status, r.epoch) == (Status.STOPPED, epoch)]
        found.append(_kind((stopped, *look), own))
    for status, look in _OTHER.items():
        found.append(_kind(look, [r for r in records if r.status == status]))
    found.append(_kind(_OPEN, [r for r in records if not r.status.ended]))
    return [kind for kind in found if kind.records]


def _kind(look: tuple[str, str, str, str], records: Sequence[TrialRecord]) -> Kind:
    label, colour, line, marker = look
    return Kind(label=label, colour=colour, style=line, marker=marker, records=records)


def draw_learning_curves(
    path: Path,
    metric: str,
    marked: Sequence[int],
    compared: Sequence[TrialRecord],
    others: Sequence[TrialRecord],
) -> None:
    """The metric of every trial against its epochs.

    Args:
        path: The file.
        metric: What is minimized.
        marked: The epochs at which trials are compared.
        compared: The trials of equal budget, the best first.
        others: The rest; all have a result.
    """
    shown = [*thinned(compared), *thinned(others)]
    best = shown[0] if compared else None

    def draw(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        sound = [r for r in shown if r.status not in WITHOUT_VALUE]
        values = [metrics[metric] for r in sound for metrics in r.history.values()]
        tell_small_apart(axes, values)
        for epoch in marked:
            axes.axvline(epoch, color=GREY, linestyle=":", linewidth=1, zorder=0)
        width, alpha = (1.2, 0.9) if len(shown) <= FEW_LINES else (0.7, 0.6)
        drawn = {record.number for record in shown if record is not best}
        for kind in kinds([*compared, *others]):
            own = [record for record in kind.records if record.number in drawn]
            if own:
                _draw_kind(axes, metric, kind, own, width, alpha)
        if best is not None:
            axes.plot(
                *_curve(best, metric),
                color="black",
                linewidth=2.4,
                marker="o",
                markerfacecolor="none",  # black would not follow the reader's theme
                markevery=[-1],
                zorder=4,
                label=f"the lowest, trial {best.number}",
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric)
        if shown:
            figure.legend(loc="outside upper center", ncols=4, fontsize="small")

    draw_svg(path, (WIDTH, 4.4), draw)


def _draw_kind(
    axes: "Axes",
    metric: str,
    kind: Kind,
    records: Sequence[TrialRecord],
    width: float,
    alpha: float,
) -> None:
    from matplotlib.collections import LineCollection

    curves = [_curve(record, metric) for record in records]
    top = axes.get_ylim()[1]
    lines = [list(zip(*curve, strict=True)) for curve in curves]
    axes.add_collection(
        LineCollection(
            lines,
            colors=kind.colour,
            linestyles=kind.style,
            linewidths=width,
            alpha=alpha,
        )
    )
    axes.plot(
        [epochs[-1] for epochs, _ in curves],
        # What went beyond the axis ends at its edge.
        [min(values[-1], top) for _, values in curves],
        linestyle="none",
        marker=kind.marker,
        markersize=5,
        color=kind.colour,
        clip_on=False,
    )
    axes.plot(
        [],
        [],
        linestyle=kind.style,
        marker=kind.marker,
        color=kind.colour,
        label=f"{kind.label} ({len(kind.records)})",
    )


def _curve(record: TrialRecord, metric: str) -> tuple[list[int], list[float]]:
    values = {epoch: metrics[metric] for epoch, metrics in record.history.items()}
    epochs = sorted(values)
    return epochs, [values[epoch] for epoch in epochs]


def live_learning_curves(
    metric: str,
    marked: Sequence[int],
    compared: Sequence[TrialRecord],
    others: Sequence[TrialRecord],
) -> Live:
    """The same as `draw_learning_curves`, answering.

    Args:
        metric: What is minimized.
        marked: The epochs at which trials are compared.
        compared: The trials of equal budget, the best first.
        others: The rest; all have a result.
    """
    shown = [*thinned(compared), *thinned(others)]
    sound = [r for r in shown if r.status not in WITHOUT_VALUE]
    up = upward([metrics[metric] for r in sound for metrics in r.history.values()])
    drawn = {record.number for record in shown[1 if compared else 0 :]}
    traces = []
    for kind in kinds([*compared, *others]):
        own = [record for record in kind.records if record.number in drawn]
        name = f"{kind.label} ({len(kind.records)})"
        line = {"color": kind.colour, "width": 1.2, "dash": _DASHES[kind.style]}
        traces.append(_live_curves(metric, name, own, line, up))
    if compared:
        name = f"the lowest, trial {shown[0].number}"
        line = {"color": INK, "width": 3}
        traces.append(_live_curves(metric, name, shown[:1], line, up))
    rungs = [
        {
            "type": "line",
            "x0": epoch,
            "x1": epoch,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"dash": "dot", "width": 1, "color": GREY},
        }
        for epoch in marked
    ]
    layout = {
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {**up.axis, "title": {"text": plain(metric)}},
        "shapes": rungs,
    }
    return Live(traces=[t for t in traces if t["x"]], layout=layout, height=440)


def _live_curves(
    metric: str,
    name: str,
    records: Sequence[TrialRecord],
    line: Mapping[str, object],
    up: Upward,
) -> Trace:
    """Lines of a kind in one trace, with a gap after each."""
    across: list[int | None] = []
    upwards: list[float | None] = []
    keys: list[str | None] = []
    for record in records:
        epochs, values = _curve(record, metric)
        across += [*epochs, None]
        upwards += [*map(up.place, values), None]
        keys += [*[str(record.number)] * len(epochs), None]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": across,
        "y": upwards,
        "customdata": keys,
        "line": line,
        "marker": {"size": 4},
    }
