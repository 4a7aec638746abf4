"""The front of a search of several metrics, as SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.figures.drawing import COLOURS, GREY, draw_svg, is_wide
from orthotune.figures.search_figures import Spending
from orthotune.record.front import points
from orthotune.record.trial_record import TrialRecord
from orthotune.report.front import FrontFindings, volumes

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 4.0
"""Width and height of a panel in inches."""


def draw_front(path: Path, found: FrontFindings, spent: Spending) -> None:
    """The trials by their metrics, those on the front, and the hypervolume over time.

    The first metric is upward, a panel for each of the others.

    Args:
        path: The file.
        found: The front.
        spent: What the trials had spent when they ended.
    """
    others = found.metrics[1:]

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(1, len(others) + 1, squeeze=False)[0]
        for place, axes in enumerate(panels[:-1], 1):
            _draw_metrics(axes, found, place)
        _draw_volumes(panels[-1], found, spent)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=3, fontsize="small"
        )

    draw_svg(path, (PANEL * (len(others) + 1), PANEL), draw)


def _draw_metrics(axes: "Axes", found: FrontFindings, place: int) -> None:
    """The first metric against another one."""
    members = {record.number for record in found.members}
    rest = [record for record in found.compared if record.number not in members]
    styles: Sequence[tuple[Sequence[TrialRecord], dict[str, Any]]] = (
        (rest, {"color": GREY, "alpha": 0.6, "marker": ".", "label": "dominated"}),
        (found.members, {"color": COLOURS[0], "marker": "o", "label": "the front"}),
    )
    for records, style in styles:
        values = points(records, found.metrics)
        axes.scatter([v[place] for v in values], [v[0] for v in values], **style)
    line = sorted((v[place], v[0]) for v in points(found.members, found.metrics))
    if line and len(found.metrics) == 2:  # of three the front is no line
        x, y = zip(*line, strict=True)
        axes.step(x, y, where="post", color=COLOURS[0], linewidth=1)
    means = list(found.means.values())
    if means:
        style: dict[str, Any] = {
            "color": COLOURS[1],
            "marker": "x",
            "label": "mean of fresh seeds",
        }
        axes.scatter([v[place] for v in means], [v[0] for v in means], **style)
    every = points(found.compared, found.metrics)
    for scale, values in (
        (axes.set_xscale, [v[place] for v in every]),
        (axes.set_yscale, [v[0] for v in every]),
    ):
        scale("log" if is_wide(values) else "linear")
    axes.set_xlabel(found.metrics[place])
    axes.set_ylabel(found.metrics[0])


def _draw_volumes(axes: "Axes", found: FrontFindings, spent: Spending) -> None:
    """How much the trials dominate, against the epochs that all had spent."""
    order = sorted(found.compared, key=lambda record: spent.at[record.number])
    steps = [(spent.at[n], share) for n, share in volumes(order, found.metrics)]
    if steps:
        x, y = zip(*steps, (spent.total, steps[-1][1]), strict=True)
        axes.step(x, y, where="post", color="black")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    axes.set_xlabel("training epochs spent by all trials")
    axes.set_ylabel("hypervolume")
