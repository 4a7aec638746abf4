"""Parallel coordinates: every trial as a line over the parameters of the space."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.tuning.drawing import GREY, colour_map, draw_svg, is_wide
from orthotune.tuning.scale import place
from orthotune.tuning.search_space import CategoricalParameter, IntParameter, Parameter
from orthotune.tuning.table import cell

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

MOST_LINES = 250
"""Lines of a kind; with more a figure grows to megabytes and shows less."""
AXES_A_ROW = 7
WIDTH = 8.0
INCHES_A_ROW = 3.2
UNSET = -0.12
"""Where the line of a trial goes to which a parameter does not apply."""
APART = 0.12
"""How far from a bound a mark between them must be."""
LONGEST_LABEL = 14
MOST_CHOICES = 12


@dataclass(frozen=True, kw_only=True)
class Line:
    """A trial.

    Args:
        values: What it has for the parameters that apply to it, by name.
        metric: Its value; not looked at where that cannot be compared with others'.
    """

    values: Mapping[str, Any]
    metric: float


def thinned(items: Sequence[Line], most: int = MOST_LINES) -> list[Line]:
    """At most so many, evenly from first to last, both included.

    Example:
        >>> lines = [Line(values={}, metric=0.1 * n) for n in range(5)]
        >>> [line.metric for line in thinned(lines, 3)]
        [0.0, 0.2, 0.4]
    """
    if len(items) <= most:
        return list(items)
    return [items[k * (len(items) - 1) // (most - 1)] for k in range(most)]


def draw_parallel(
    path: Path,
    metric: str,
    parameters: Sequence[Parameter],
    compared: Sequence[Line],
    others: Sequence[Line],
) -> None:
    """Write the figure; where parameters are many, in several rows.

    Args:
        path: The file.
        metric: What the colour says.
        parameters: The axes.
        compared: The trials that have a metric to compare, the best first.
        others: The rest, which are faint.
    """
    compared, others = thinned(compared), thinned(others)
    rows = _rows(parameters)

    def draw(figure: "Figure") -> None:
        all_axes = figure.subplots(len(rows), 1, squeeze=False).flatten().tolist()
        colours = _colours([line.metric for line in compared])
        for axes, row in zip(all_axes, rows, strict=True):
            _draw_row(axes, metric, row, compared, others, colours)

    draw_svg(path, (WIDTH, 0.4 + INCHES_A_ROW * len(rows)), draw)


def _rows(parameters: Sequence[Parameter]) -> list[Sequence[Parameter]]:
    """The parameters in rows of nearly equal length."""
    count = max(1, math.ceil(len(parameters) / AXES_A_ROW))
    bounds = [len(parameters) * k // count for k in range(count + 1)]
    return [parameters[bounds[k] : bounds[k + 1]] for k in range(count)]


def _colours(values: Sequence[float]) -> "ScalarMappable | None":
    """From a metric to its colour; None if there is none."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    if not values:
        return None
    low, high = min(values), max(values)
    if low == high:
        around = 0.05 * abs(low) or 0.05
        low, high = low - around, high + around
    norm = LogNorm if is_wide(values) else Normalize
    return ScalarMappable(norm(low, high), colour_map())


def _draw_row(
    axes: "Axes",
    metric: str,
    parameters: Sequence[Parameter],
    compared: Sequence[Line],
    others: Sequence[Line],
    colours: "ScalarMappable | None",
) -> None:
    import numpy as np
    from matplotlib.collections import LineCollection

    last = len(parameters)
    thin = [_points(line, parameters) for line in others]
    axes.add_collection(LineCollection(thin, colors=GREY, linewidths=0.7, alpha=0.3))
    if colours is not None:
        metrics = np.array([line.metric for line in compared])
        ends = np.asarray(colours.norm(metrics))
        paths = [
            [*_points(line, parameters), (last, end)]
            for line, end in zip(compared, ends, strict=True)
        ]
        width = 1.6 if len(compared) <= 60 else 0.9
        widths = [2 * width, *[width] * (len(compared) - 1)]
        shades = colours.to_rgba(metrics)
        # The best last, above the others.
        axes.add_collection(
            LineCollection(paths[::-1], colors=shades[::-1], linewidths=widths[::-1])
        )
        bar = axes.inset_axes((last, 0, 0.12, 1), transform=axes.transData)
        axes.figure.colorbar(colours, cax=bar)
        bar.set_title(metric, fontsize="small")
        bar.tick_params(labelsize="x-small")
    for index, parameter in enumerate(parameters):
        _draw_axis(axes, index, parameter)
    axes.set_xlim(-0.6, last + (0.5 if colours is not None else -0.5))
    axes.set_ylim(UNSET - 0.08, 1.02)
    axes.set_axis_off()


def _points(line: Line, parameters: Sequence[Parameter]) -> list[tuple[float, float]]:
    return [
        (
            index,
            place(parameter, line.values[parameter.name])
            if parameter.name in line.values
            else UNSET,
        )
        for index, parameter in enumerate(parameters)
    ]


def _draw_axis(axes: "Axes", index: int, parameter: Parameter) -> None:
    axes.plot([index, index], [0, 1], color="black", linewidth=0.8)
    marks = ticks(parameter)
    if parameter.when:
        marks = [(UNSET, "unset"), *marks]
    for at, label in marks:
        axes.plot([index - 0.03, index], [at, at], color="black", linewidth=0.8)
        axes.text(
            index - 0.05,
            at,
            label,
            ha="right",
            va="center",
            fontsize="x-small",
            zorder=5,
        )
    name = parameter.name.replace(".", ".\n")
    axes.text(index, 1.06, name, ha="center", va="bottom", fontsize="small")


def ticks(parameter: Parameter) -> list[tuple[float, str]]:
    """The marks of a parameter's axis: place and label, the bounds among them.

    Example:
        >>> from orthotune.tuning.search_space import FloatParameter
        >>> lr = FloatParameter(name="optimizer.lr", low=0.003, high=0.1, log=True)
        >>> [label for _, label in ticks(lr)]
        ['0.003', '0.1', '0.01']
    """
    if isinstance(parameter, CategoricalParameter):
        step = math.ceil(len(parameter.choices) / MOST_CHOICES)
        values = parameter.choices[::step]
        return [(place(parameter, v), _clipped(cell(v))) for v in values]
    low, high = parameter.extremes()
    inner = _decades(low, high) if parameter.log else _round_values(parameter)
    apart = [value for value in inner if APART < place(parameter, value) < 1 - APART]
    values = list(dict.fromkeys([low, high, *apart]))
    return [(place(parameter, value), f"{value:.4g}") for value in values]


def _decades(low: float, high: float) -> list[float]:
    exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [float(f"1e{exponent}") for exponent in exponents]


def _round_values(parameter: Parameter) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    low, high = parameter.extremes()
    if low == high:
        return []
    whole = isinstance(parameter, IntParameter)
    values = MaxNLocator(4, integer=whole).tick_values(low, high)
    return [float(value) for value in values if low < value < high]


def _clipped(label: str) -> str:
    if len(label) <= LONGEST_LABEL:
        return label
    return label[: LONGEST_LABEL - 1] + "…"
