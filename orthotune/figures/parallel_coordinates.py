"""Parallel coordinates: every trial as a line over the parameters of the space."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.figures.drawing import GREY, colour_map, draw_svg, thinned
from orthotune.figures.live import MOST_POINTS, Live, Trace, plain
from orthotune.space.parameters import CategoricalParameter, IntParameter, Parameter
from orthotune.space.scale import place
from orthotune.text import cell

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES_A_ROW = 7
WIDTH = 8.0
INCHES_A_ROW = 3.2
UNSET = -0.12
"""Where the line of a trial goes in which a parameter is not in effect."""
APART = 0.12
"""How far from a bound a mark between them must be."""
LONGEST_LABEL = 14
MOST_CHOICES = 12
LIVE_PIXELS_AN_AXIS = 84
LIVE_STEPS = 100
"""To how many places of an axis a brush can go."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A trial.

    Args:
        values: What it has for the parameters in effect, by name.
        metric: Its value; not looked at where that cannot be compared with others'.
        number: Its own.
    """

    values: Mapping[str, Any]
    metric: float
    number: int = 0


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
        metric: By which the trials are ranked.
        parameters: The axes.
        compared: The trials that have a metric to compare, the best first.
        others: The rest, which are faint.
    """
    compared, others = thinned(compared), thinned(others)
    rows = _rows(parameters)

    def draw(figure: "Figure") -> None:
        all_axes = figure.subplots(len(rows), 1, squeeze=False).flatten().tolist()
        for axes, row in zip(all_axes, rows, strict=True):
            _draw_row(axes, metric, row, compared, others)

    draw_svg(path, (WIDTH, 0.4 + INCHES_A_ROW * len(rows)), draw)


def _rows(parameters: Sequence[Parameter]) -> list[Sequence[Parameter]]:
    """The parameters in rows of nearly equal length."""
    count = max(1, math.ceil(len(parameters) / AXES_A_ROW))
    bounds = [len(parameters) * k // count for k in range(count + 1)]
    return [parameters[bounds[k] : bounds[k + 1]] for k in range(count)]


def shares(values: Sequence[float]) -> list[float]:
    """The rank of every value as a share, 0 of the smallest and 1 of the largest.

    By rank, a single bad value does not make all others one colour. Equal values share
    the mean of their ranks' places.

    Example:
        >>> shares([0.01, 0.02, 0.02, 0.85]), shares([0.5])
        ([0.0, 0.5, 0.5, 1.0], [0.5])
    """
    from scipy.stats import rankdata

    ranks = rankdata(values)
    low, high = min(ranks), max(ranks)
    if low == high:
        return [0.5] * len(ranks)
    return [float((rank - low) / (high - low)) for rank in ranks]


def _draw_row(
    axes: "Axes",
    metric: str,
    parameters: Sequence[Parameter],
    compared: Sequence[Line],
    others: Sequence[Line],
) -> None:
    from matplotlib.collections import LineCollection

    last = len(parameters)
    thin = [_points(line, parameters) for line in others]
    axes.add_collection(LineCollection(thin, colors=GREY, linewidths=0.7, alpha=0.3))
    if compared:
        ends = shares([line.metric for line in compared])
        paths = [
            [*_points(line, parameters), (last, end)]
            for line, end in zip(compared, ends, strict=True)
        ]
        width = 1.6 if len(compared) <= 60 else 0.9
        widths = [2 * width, *[width] * (len(compared) - 1)]
        shades = colour_map()(ends)
        # The best last, above the others.
        axes.add_collection(
            LineCollection(paths[::-1], colors=shades[::-1], linewidths=widths[::-1])
        )
        _draw_colours(axes, last, metric, compared)
    for index, parameter in enumerate(parameters):
        everywhere = all(parameter.name in ln.values for ln in (*compared, *others))
        _draw_axis(axes, index, parameter, everywhere=everywhere)
    axes.set_xlim(-0.6, last + (0.5 if compared else -0.5))
    axes.set_ylim(UNSET - 0.08, 1.02)
    axes.set_axis_off()


def _draw_colours(
    axes: "Axes", last: int, metric: str, compared: Sequence[Line]
) -> None:
    """The colours by rank, and beside them what the metric is there."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = axes.inset_axes((last, 0, 0.12, 1), transform=axes.transData)
    axes.figure.colorbar(ScalarMappable(Normalize(0, 1), colour_map()), cax=bar)
    values = [line.metric for line in compared]
    marks = dict(zip(shares(values), values, strict=True))
    places = _apart(list(marks))
    bar.set_yticks(places, [f"{marks[at]:.3g}" for at in places])
    bar.set_title(f"{metric},\nby rank", fontsize="small")
    bar.tick_params(labelsize="x-small")


def _apart(places: Sequence[float]) -> list[float]:
    """The first and the last of ascending places, and of the others what has room."""
    kept = list(places[:1])
    for at in places[1:-1]:
        if min(at - kept[-1], places[-1] - at) >= APART:
            kept.append(at)
    return [*kept, *places[1:][-1:]]


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


def _draw_axis(
    axes: "Axes", index: int, parameter: Parameter, *, everywhere: bool
) -> None:
    axes.plot([index, index], [0, 1], color="black", linewidth=0.8)
    marks = ticks(parameter)
    if not everywhere:
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
        >>> from orthotune.space.parameters import FloatParameter
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


def live_parallel(
    metric: str,
    parameters: Sequence[Parameter],
    compared: Sequence[Line],
    others: Sequence[Line],
) -> Live:
    """The same as `draw_parallel`, answering: what is brushed is selected.

    Args:
        metric: By which the trials are ranked.
        parameters: The axes.
        compared: The trials that have a metric to compare, the best first.
        others: The rest, which are faint.
    """
    compared, others = thinned(compared, MOST_POINTS), thinned(others, MOST_POINTS)
    lines = [*compared, *others]
    values = [line.metric for line in compared]
    ends = shares(values) if compared else []
    axes = [_live_axis(parameter, lines) for parameter in parameters]
    if compared:
        marks = dict(zip(ends, values, strict=True))
        places = _apart(list(marks))
        last = [*ends, *[UNSET] * len(others)]
        labels = [(at, f"{marks[at]:.3g}") for at in places]
        if others:
            labels = [(UNSET, "other"), *labels]
        axes.append(_dimension(f"{plain(metric)},<br>by rank", last, _finely(labels)))
    trace: Trace = {
        "type": "parcoords",
        "dimensions": axes,
        "customdata": [str(line.number) for line in lines],
        "line": {
            "color": [*ends, *[-1.0] * len(others)],
            "cmin": -1,
            "cmax": 1,
            "colorscale": _colours_above_grey(),
        },
        "labelfont": {"size": 11},
        "tickfont": {"size": 10},
        "unselected": {"line": {"color": GREY, "opacity": 0.06}},
    }
    layout = {"margin": {"l": 70, "r": 50, "t": 70, "b": 20}}
    width = LIVE_PIXELS_AN_AXIS * (len(axes) + 1)
    return Live(traces=[trace], layout=layout, height=380, width=width)


def _live_axis(parameter: Parameter, lines: Sequence[Line]) -> dict[str, Any]:
    name, marks = parameter.name, ticks(parameter)
    values = [
        place(parameter, line.values[name]) if name in line.values else UNSET
        for line in lines
    ]
    if UNSET in values:
        marks = [(UNSET, "unset"), *marks]
    if not isinstance(parameter, CategoricalParameter):
        marks = _finely(marks)
    return _dimension(plain(name).replace(".", ".<br>"), values, marks)


def _finely(marks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """With marks that have no label in between: what is brushed snaps to marks."""
    places = [k / LIVE_STEPS for k in range(LIVE_STEPS + 1)]
    between = [
        (at, "")
        for at in places
        if all(abs(at - mark) > 0.5 / LIVE_STEPS for mark, _ in marks)
    ]
    return sorted([*between, *marks])


def _dimension(
    label: str, values: Sequence[float], marks: Sequence[tuple[float, str]]
) -> dict[str, Any]:
    return {
        "label": label,
        "range": [UNSET if UNSET in values else 0.0, 1.0],
        "values": values,
        "tickvals": [at for at, _ in marks],
        "ticktext": _distinct([text for _, text in marks]),
    }


def _distinct(labels: Sequence[str]) -> list[str]:
    """Labels made different by spaces that nobody sees: plotly finds places by them."""
    found: dict[str, None] = {}
    for label in labels:
        while label in found:
            label += " "
        found[label] = None
    return list(found)


def _colours_above_grey() -> list[tuple[float, str]]:
    """From -1 to 1: grey below 0, and above it the colours of the ranks."""
    from matplotlib.colors import to_hex

    shades = [to_hex(shade) for shade in colour_map()([k / 16 for k in range(17)])]
    above = [(0.5 + k / 32, shade) for k, shade in enumerate(shades)]
    return [(0.0, GREY), (0.499, GREY), *above]
