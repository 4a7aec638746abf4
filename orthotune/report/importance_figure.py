"""The importances of a search's parameters as SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orthotune.figures.drawing import COLOURS, draw_svg
from orthotune.report.importance import Importance

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0
INCHES_A_BAR = 0.34


def draw_importances(path: Path, found: Sequence[Importance]) -> None:
    """The shares of the parameters by both methods, a panel for each group.

    Args:
        path: The file.
        found: The groups; all have numbers.
    """
    heights = [1 + len(one.fanova) for one in found]

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(
            len(found), 1, squeeze=False, sharex=True, height_ratios=heights
        )
        for axes, one in zip(panels.flatten().tolist(), found, strict=True):
            _draw_shares(axes, one)
        panels[-1, 0].set_xlabel("share of the importance")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)

    draw_svg(path, (WIDTH, 1.2 + INCHES_A_BAR * sum(heights)), draw)


def _draw_shares(axes: "Axes", one: Importance) -> None:
    names = list(one.fanova)
    rows = range(len(names))
    methods = (("fANOVA", one.fanova, -0.2), ("PED-ANOVA", one.ped_anova, 0.2))
    for index, (label, shares, offset) in enumerate(methods):
        axes.barh(
            [row + offset for row in rows],
            [shares[name] for name in names],
            height=0.38,
            label=label,
            # By filling too.
            color=COLOURS[0] if index == 0 else "none",
            edgecolor=COLOURS[index],
            hatch="" if index == 0 else "///",
        )
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    title = f"{one.group} ({one.num_used}, at epoch {one.epoch})"
    axes.set_title(title, fontsize="medium")
