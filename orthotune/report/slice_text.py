"""What a report says of its slices and of its surface."""

from collections import Counter
from pathlib import Path

from orthotune.figures.contour import Surface
from orthotune.figures.drawing import MOST_LINES
from orthotune.figures.live import MOST_POINTS
from orthotune.report.findings import SearchFindings

SLICES = (
    "`{metric}` against each parameter by itself, on the scale that it is searched "
    "on. Trials of the full budget, which alone can be compared, are filled; those "
    "stopped early are pale and stand at the value of their last epoch, which more "
    "epochs would have changed. What diverged or ran out of memory stands at the "
    "upper edge. A trial in which a parameter is not in effect is left out of its "
    "panel; those of one choice are spread, so that none hides another. Around a mark "
    "all other parameters differ, too, and a searcher puts more trials where it found "
    "good ones: a slope here says where to look, and proves nothing."
)
SURFACE = (
    "`{metric}` at epoch {epoch} over the two numeric parameters that matter most by "
    "fANOVA, smoothed by a Gaussian process over {trials}, the marks. Each of them "
    "left out in turn, the surface explains {explained:.0%} of what differs between "
    "them; the rest is other parameters, and chance. Where no trial is near, there is "
    "a gap."
)


def slices_part(figure: Path | None, findings: SearchFindings) -> list[str]:
    """The slices and what they show.

    Args:
        figure: The figure; None if there is nothing to draw.
        findings: What was found.
    """
    if figure is None:
        return []
    text = SLICES.format(metric=findings.study.settings.metric)
    if findings.study.settings.search.is_population:
        text += " Of a population the settings are those that a member ended with."
    if max(Counter(r.status for r in findings.members).values()) > MOST_LINES:
        text += (
            f" Of the trials that ended alike at most {MOST_LINES} are drawn, evenly, "
            f"and {MOST_POINTS:,} where the figure answers."
        )
    shown = f"![The metric against each parameter by itself]({figure.name})"
    return ["## Slices", shown, text]


def surface_part(figure: Path | None, findings: SearchFindings) -> list[str]:
    """The surface and what it shows, or why there is none.

    Args:
        figure: The figure, where there is a surface.
        findings: What was found.
    """
    found = findings.surface
    if isinstance(found, Surface) and figure is not None:
        used, total = len(found.numbers), found.num_trials
        trials = f"{used} trials" + (f" out of {total:,}" if used < total else "")
        text = SURFACE.format(
            metric=found.metric,
            epoch=found.epoch,
            trials=trials,
            explained=found.explained,
        )
        shown = f"![The metric over the two that matter most]({figure.name})"
        return ["## The two that matter most", shown, text]
    if isinstance(found, str) and found:
        return ["## The two that matter most", f"There is no surface: {found}"]
    return []
