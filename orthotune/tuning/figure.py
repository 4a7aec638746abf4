"""The picture of a study: best error against trials, error against each parameter."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.training.atomic import atomic_write
from orthotune.tuning.journal import Status, TrialRecord, equal_budget
from orthotune.tuning.search_space import CategoricalParameter, Parameter

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes

COLUMNS = 3
# Told apart by shape and fill too; colours from Okabe and Ito's palette.
STYLES: dict[Status, dict[str, Any]] = {
    Status.FINISHED: {"marker": "o", "color": "#0072B2", "label": "full budget"},
    Status.STOPPED: {
        "marker": "o",
        "facecolors": "none",
        "edgecolors": "#767676",
        "label": "stopped early",
    },
    Status.INTERRUPTED: {
        "marker": "s",
        "facecolors": "none",
        "edgecolors": "#767676",
        "label": "interrupted",
    },
    Status.DIVERGED: {"marker": "x", "color": "#D55E00", "label": "diverged"},
    Status.OOM: {"marker": "+", "color": "#D55E00", "label": "out of memory"},
}


def draw_study(
    path: Path,
    *,
    name: str,
    metric: str,
    parameters: Sequence[Parameter],
    records: Sequence[TrialRecord],
) -> None:
    """Write the figure of a study as a PNG file.

    Args:
        path: The file.
        name: Name of the study, for the title.
        metric: What it minimizes.
        parameters: What it varies, one panel each.
        records: Its trials; those without a result are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [record for record in records if record.history]
    rows = math.ceil((1 + len(parameters)) / COLUMNS)
    # The Agg canvas alone: no pyplot, no state shared with the user's own figures.
    figure = Figure(figsize=(4 * COLUMNS, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flatten().tolist()
    _draw_best(panels[0], metric, shown)
    for panel, parameter in zip(panels[1:], parameters, strict=False):
        _draw_parameter(panel, metric, parameter, shown)
    for panel in panels[1 + len(parameters) :]:
        panel.set_visible(False)
    figure.suptitle(f"{name}: {len(shown)} trials")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120)


def _draw_best(axes: "Axes", metric: str, records: Sequence[TrialRecord]) -> None:
    finished = sorted(equal_budget(records, metric), key=lambda record: record.number)
    best, numbers, values = math.inf, [], []
    for record in finished:
        best = min(best, record.last(metric))
        numbers.append(record.number)
        values.append(best)
    axes.step(numbers, values, where="post", color="black", label="best so far")
    _scatter(axes, metric, records, {r.number: r.number for r in records})
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    axes.legend(fontsize="small")


def _draw_parameter(
    axes: "Axes", metric: str, parameter: Parameter, records: Sequence[TrialRecord]
) -> None:
    given = [record for record in records if parameter.name in record.fields]
    values = {record.number: record.fields[parameter.name] for record in given}
    if isinstance(parameter, CategoricalParameter):
        labels, choices = [str(c) for c in parameter.choices], parameter.choices
        values = {key: choices.index(value) for key, value in values.items()}
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif parameter.log:
        axes.set_xscale("log")
    _scatter(axes, metric, given, values)
    axes.set_xlabel(parameter.name)
    axes.set_ylabel(metric)


def _scatter(
    axes: "Axes",
    metric: str,
    records: Sequence[TrialRecord],
    positions: Mapping[int, float],
) -> None:
    for status, style in STYLES.items():
        own = [record for record in records if record.status == status]
        if not own:
            continue
        axes.scatter(
            [positions[record.number] for record in own],
            [record.last(metric) for record in own],
            s=24,
            **style,
        )
