"""The figures of a search: still ones as files, and those that answer in its page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orthotune.figures.contour import Surface, draw_contour, live_contour
from orthotune.figures.learning_curves import (
    compared_at,
    draw_learning_curves,
    live_learning_curves,
)
from orthotune.figures.live import Live, LivePage
from orthotune.figures.parallel_coordinates import Line, draw_parallel, live_parallel
from orthotune.figures.search_figures import (
    draw_budget,
    draw_schedules,
    live_budget,
    spending,
)
from orthotune.figures.slices import Placed, draw_slices, live_slices
from orthotune.report.findings import SearchFindings
from orthotune.report.front import find_front
from orthotune.report.front_figure import draw_front
from orthotune.report.importance_figure import draw_importances
from orthotune.report.in_effect import in_effect_at_end
from orthotune.text import cell

NAMES = (
    "front",
    "budget",
    "curves",
    "parallel",
    "slices",
    "importance",
    "contour",
    "schedules",
)


def placed(findings: SearchFindings) -> list[Placed]:
    """The trials with a result, those of equal budget first, the best of them first.

    Args:
        findings: What was found.
    """
    return [
        Placed(record=record, values=in_effect_at_end(findings.study, record))
        for record in (*findings.compared, *findings.others)
    ]


def draw_all(
    folder: Path, findings: SearchFindings, trials: Sequence[Placed]
) -> dict[str, Path]:
    """Draw what there is to draw.

    Args:
        folder: Where the figures go.
        findings: What is drawn.
        trials: The trials, as `placed` gives them.

    Returns:
        The files by what they show.
    """
    study, members = findings.study, findings.members
    metric, compared, others = study.settings.metric, findings.compared, findings.others
    parameters = study.space.parameters
    paths = {name: folder / f"{name}.svg" for name in NAMES}
    for path in paths.values():  # of an earlier session
        path.unlink(missing_ok=True)
    if findings.ranking.is_front and compared:
        spent = spending([record for record in members if record.history])
        draw_front(paths["front"], find_front(study, findings.records), spent)
    draw_budget(paths["budget"], metric, members, compared)
    rungs = compared_at(study.settings.search)
    draw_learning_curves(paths["curves"], metric, rungs, compared, others)
    draw_parallel(paths["parallel"], metric, parameters, *_lines(findings, trials))
    if parameters and trials:
        draw_slices(paths["slices"], metric, parameters, trials)
    with_numbers = [one for one in findings.importances if one.fanova]
    if with_numbers:
        draw_importances(paths["importance"], with_numbers)
    if isinstance(findings.surface, Surface):
        draw_contour(paths["contour"], findings.surface)
    if findings.previewed:
        draw_schedules(paths["schedules"], findings.previewed)
    return {name: path for name, path in paths.items() if path.exists()}


def live_page(findings: SearchFindings, trials: Sequence[Placed]) -> LivePage:
    """Those of the figures that answer, and what hovering says of every trial.

    Args:
        findings: What is drawn.
        trials: The trials, as `placed` gives them. Without any nothing answers.
    """
    study = findings.study
    metric, compared, others = study.settings.metric, findings.compared, findings.others
    parameters = study.space.parameters
    if not trials:
        return LivePage()
    rungs = compared_at(study.settings.search)
    figures: dict[str, Live] = {
        "budget": live_budget(metric, findings.members, compared),
        "curves": live_learning_curves(metric, rungs, compared, others),
    }
    if parameters:
        lines = _lines(findings, trials)
        figures["parallel"] = live_parallel(metric, parameters, *lines)
        figures["slices"] = live_slices(metric, parameters, trials)
    if isinstance(findings.surface, Surface):
        figures["contour"] = live_contour(findings.surface)
    shown = {
        key
        for one in figures.values()
        for trace in one.traces
        for key in trace.get("customdata", ())
    }
    notes = {
        str(one.record.number): _note(metric, one)
        for one in trials
        if str(one.record.number) in shown
    }
    return LivePage(figures=figures, notes=notes)


def _lines(
    findings: SearchFindings, trials: Sequence[Placed]
) -> tuple[list[Line], list[Line]]:
    """The trials of equal budget, and the others."""
    metric, count = findings.study.settings.metric, len(findings.compared)
    lines = [
        Line(
            values=one.values,
            metric=one.record.last(metric),
            number=one.record.number,
        )
        for one in trials
    ]
    return lines[:count], lines[count:]


def _note(metric: str, one: Placed) -> str:
    """What a trial is: how it ended, and its configuration."""
    record = one.record
    head = f"trial {record.number}: {record.status} at epoch {record.epoch}"
    values: dict[str, Any] = {metric: record.last(metric), **one.values}
    return "\n".join([head, *(f"{name} = {cell(v)}" for name, v in values.items())])
