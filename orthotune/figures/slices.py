"""Slices: the metric against each parameter by itself, a panel each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.figures.drawing import draw_svg, tell_small_apart, thinned
from orthotune.figures.live import Live, Trace, plain, upward
from orthotune.figures.parallel_coordinates import ticks
from orthotune.figures.search_figures import STYLES, WORST, points_by_status
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.space.parameters import CategoricalParameter, Parameter
from orthotune.space.scale import place

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
WIDTH = 8.0
INCHES_A_ROW = 2.3
PALE = 0.6
"""The opacity of trials that had less than the full budget."""

SPREAD = 0.6
"""The part of the distance between two choices over which their trials are spread."""

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A trial, and the values it has for the parameters in effect, by name.

    Args:
        record: The trial.
        values: Its values.
    """

    record: TrialRecord
    values: Mapping[str, Any]


def across(parameter: Parameter, trial: Placed) -> float:
    """Where a trial stands on a parameter's scale, choices spread about their places.

    The spread is even and the same every time: it goes by the trial's number.

    Args:
        parameter: The parameter, in effect in the trial.
        trial: The trial.

    Example:
        >>> from orthotune.space.parameters import FloatParameter
        >>> lr = FloatParameter(name="optimizer.lr", low=0.01, high=1, log=True)
        >>> record = TrialRecord(number=0, fields={})
        >>> across(lr, Placed(record=record, values={"optimizer.lr": 0.1}))
        0.5
    """
    at = place(parameter, trial.values[parameter.name])
    if isinstance(parameter, CategoricalParameter):
        part = (trial.record.number * _GOLDEN) % 1 - 0.5
        at += SPREAD * part / max(1, len(parameter.choices) - 1)
    return at


def draw_slices(
    path: Path, metric: str, parameters: Sequence[Parameter], trials: Sequence[Placed]
) -> None:
    """Write the figure.

    Args:
        path: The file.
        metric: What is minimized.
        parameters: A panel each.
        trials: What is drawn; all have a result. Very many are thinned.
    """
    rows = math.ceil(len(parameters) / COLUMNS)
    columns = min(COLUMNS, len(parameters))

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
        for axes, parameter in zip(panels, parameters, strict=False):
            _draw_slice(axes, metric, parameter, trials)
        for axes in panels[len(parameters) :]:
            axes.set_axis_off()
        for axes in panels[::columns]:
            axes.set_ylabel(metric)
        found = [axes.get_legend_handles_labels() for axes in panels]
        looks = {label: one for pair in found for one, label in zip(*pair, strict=True)}
        if looks:
            figure.legend(
                looks.values(),
                looks.keys(),
                loc="outside upper center",
                ncols=6,
                fontsize="small",
            )

    draw_svg(path, (WIDTH, 0.5 + INCHES_A_ROW * rows), draw)


def _draw_slice(
    axes: "Axes", metric: str, parameter: Parameter, trials: Sequence[Placed]
) -> None:
    values = [t.record.last(metric) for t in trials if t.record.status not in WORST]
    tell_small_apart(axes, values)
    top = max(values, default=1.0)
    for status, look in STYLES.items():
        own = thinned(_own(parameter, trials, status))
        if own:
            axes.scatter(
                [across(parameter, trial) for trial in own],
                [_value(trial, metric, top) for trial in own],
                s=14,
                alpha=1.0 if status in (Status.FINISHED, *WORST) else PALE,
                **look,
            )
    marks = ticks(parameter)
    axes.set_xlim(*ends(parameter))
    axes.set_xticks([at for at, _ in marks], [text for _, text in marks])
    axes.tick_params(labelsize="x-small")
    axes.set_xlabel(parameter.name, fontsize="small")


def ends(parameter: Parameter) -> tuple[float, float]:
    """Where a parameter's axis ends, beyond what its trials are spread over."""
    if not isinstance(parameter, CategoricalParameter):
        return -0.05, 1.05
    half = 0.5 / max(1, len(parameter.choices) - 1)
    return (-half, 1 + half) if len(parameter.choices) > 1 else (0.0, 1.0)


def _own(
    parameter: Parameter, trials: Sequence[Placed], status: Status
) -> list[Placed]:
    return [
        trial
        for trial in trials
        if trial.record.status == status and parameter.name in trial.values
    ]


def _value(trial: Placed, metric: str, top: float) -> float:
    return top if trial.record.status in WORST else trial.record.last(metric)


def live_slices(
    metric: str, parameters: Sequence[Parameter], trials: Sequence[Placed]
) -> Live:
    """The same as `draw_slices`, answering.

    Args:
        metric: What is minimized.
        parameters: A panel each.
        trials: What is drawn; all have a result.
    """
    sound = [t.record.last(metric) for t in trials if t.record.status not in WORST]
    up, seen = upward(sound), set[str]()
    traces: list[Trace] = []
    layout: dict[str, Any] = {}
    for index, parameter in enumerate(parameters):
        end = str(index + 1) if index else ""
        placed = {t.record.number: t for t in trials if parameter.name in t.values}
        points = points_by_status(
            [trial.record for trial in placed.values()],
            x=lambda r, p=parameter, own=placed: across(p, own[r.number]),
            y=lambda r: up.high if r.status in WORST else r.last(metric),
            place=up.place,
        )
        for trace in points:
            name = trace["name"]
            pale = name not in [STYLES[s]["label"] for s in (Status.FINISHED, *WORST)]
            trace |= {"xaxis": f"x{end}", "yaxis": f"y{end}", "legendgroup": name}
            # One entry of the legend for the marks of all panels.
            trace |= {"showlegend": name not in seen, "opacity": PALE if pale else 1}
            seen.add(name)
        traces += points
        layout |= _live_axes(parameter, end, metric, up.axis)
    return Live(traces=traces, layout=layout, height=210, panels=len(parameters))


def _live_axes(
    parameter: Parameter, end: str, metric: str, upwards: Mapping[str, Any]
) -> dict[str, Any]:
    marks = ticks(parameter)
    title = {"text": plain(parameter.name), "standoff": 4}
    x = {
        "range": list(ends(parameter)),
        "tickvals": [at for at, _ in marks],
        "ticktext": [plain(text) for _, text in marks],
        "title": {**title, "font": {"size": 12}},
        "tickfont": {"size": 10},
        "tickangle": 0,
    }
    y = {**upwards, "title": {"text": plain(metric)}}
    # Zooming into one panel's errors is zooming into all.
    matches = {"matches": "y"} if end else {}
    return {f"xaxis{end}": x, f"yaxis{end}": {**y, **matches}}
