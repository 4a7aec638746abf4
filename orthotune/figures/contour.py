"""A contour of the metric over two parameters, with the trials it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.figures.drawing import colour_map, draw_svg, round_numbers
from orthotune.figures.live import INK, Live, Trace, plain
from orthotune.figures.parallel_coordinates import ticks
from orthotune.space.parameters import Parameter

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.figure import Figure

SIZE = (7.0, 4.6)
LEVELS = 12
MARGIN = 0.03


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A metric over two parameters, smoothed.

    Args:
        parameters: The two, the more important first: it lies across.
        metric: The metric.
        epoch: At which the trials are compared.
        heights: Over a grid of both scales, row by row upward; of the logarithm to base
            10 where `logarithmic`. No number where no trial is near.
        logarithmic: Whether heights are logarithms.
        explained: The share of the variance that it explains of trials left out.
        numbers: Of the trials it rests on.
        points: Their places on both scales, in the same order.
        errors: Their values.
        num_trials: How many there are of which these are a sample.
    """

    parameters: Sequence[Parameter]
    metric: str
    epoch: int
    heights: Sequence[Sequence[float]]
    logarithmic: bool
    explained: float
    numbers: Sequence[int]
    points: Sequence[tuple[float, float]]
    errors: Sequence[float]
    num_trials: int

    @property
    def sides(self) -> list[list[float]]:
        """The middles of the grid's cells, across and upward."""
        return [
            [(k + 0.5) / count for k in range(count)]
            for count in (len(self.heights[0]), len(self.heights))
        ]

    @property
    def marks(self) -> Mapping[float, str]:
        """Round values of the metric, by their heights; none where heights are it."""
        from math import log10

        if not self.logarithmic:
            return {}
        known = [10**v for row in self.heights for v in row if v == v]
        return {log10(v): f"{v:g}" for v in round_numbers(min(known), max(known))}


def draw_contour(path: Path, one: Surface) -> None:
    """Write the figure.

    Args:
        path: The file.
        one: The surface; it has some height.
    """

    def draw(figure: "Figure") -> None:
        import numpy as np

        axes = figure.subplots()
        heights = np.ma.masked_invalid(np.array(one.heights))
        drawn = axes.contourf(*one.sides, heights, levels=LEVELS, cmap=colour_map())
        bar = figure.colorbar(drawn, label=f"{one.metric} at epoch {one.epoch}")
        if one.marks:
            bar.set_ticks(list(one.marks), labels=list(one.marks.values()))
        x, y = zip(*one.points, strict=True)
        axes.scatter(x, y, s=16, color="white", edgecolors="black", linewidths=0.8)
        for parameter, axis, limits in (
            (one.parameters[0], axes.xaxis, axes.set_xlim),
            (one.parameters[1], axes.yaxis, axes.set_ylim),
        ):
            marks = ticks(parameter)
            axis.set_ticks([at for at, _ in marks], labels=[text for _, text in marks])
            axis.set_label_text(parameter.name)
            limits(-MARGIN, 1 + MARGIN)

    draw_svg(path, SIZE, draw)


def live_contour(one: Surface) -> Live:
    """The same as `draw_contour`, answering.

    Args:
        one: The surface.
    """
    from matplotlib.colors import to_hex

    across, upwards = one.sides
    shades = [to_hex(shade) for shade in colour_map()([k / 16 for k in range(17)])]
    title = f"{plain(one.metric)}<br>at epoch {one.epoch}"
    bar: dict[str, Any] = {"title": {"text": title}, "outlinewidth": 0}
    if one.marks:
        bar |= {"tickvals": list(one.marks), "ticktext": list(one.marks.values())}
    smooth: Trace = {
        "type": "contour",
        "x": across,
        "y": upwards,
        "z": one.heights,
        "ncontours": LEVELS,
        "line": {"width": 0},
        "colorscale": [(k / 16, shade) for k, shade in enumerate(shades)],
        "colorbar": bar,
    }
    x, y = zip(*one.points, strict=True)
    points: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "customdata": [str(number) for number in one.numbers],
        "marker": {"size": 8, "color": "white", "line": {"width": 1, "color": INK}},
        "showlegend": False,
    }
    layout = {
        "xaxis": _axis(one.parameters[0]),
        "yaxis": _axis(one.parameters[1]),
    }
    return Live(traces=[smooth, points], layout=layout, height=460)


def _axis(parameter: Parameter) -> dict[str, Any]:
    marks = ticks(parameter)
    return {
        "title": {"text": plain(parameter.name)},
        "range": [-MARGIN, 1 + MARGIN],
        "tickvals": [at for at, _ in marks],
        "ticktext": [text for _, text in marks],
    }
