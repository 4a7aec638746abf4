"""The paired differences of an ablation as a figure that answers."""

from collections.abc import Sequence
from typing import Any

from orthotune.ablation.figures import BETWEEN_SERIES, all_series
from orthotune.figures.drawing import GREY, colour
from orthotune.figures.live import Live, LivePage, Trace, plain
from orthotune.verdicts.findings import Findings, Judged

SYMBOLS = ("diamond", "square")
PIXELS_A_ROW = 44


def live_page(findings: Findings) -> LivePage:
    """The differences, and what hovering says of every seed and mean.

    Args:
        findings: What is drawn. Without a difference nothing answers.
    """
    shown = [judged for judged in findings.comparisons if judged.difference]
    if not shown:
        return LivePage()
    series, notes = all_series(findings), dict[str, str]()
    rows = {judged.claim.than: row for row, judged in enumerate(shown)}
    traces: list[Trace] = []
    for index, (name, one) in enumerate(series.items()):
        below = (index - (len(series) - 1) / 2) * BETWEEN_SERIES
        drawn = [j for j in one.comparisons if j.difference and j.claim.than in rows]
        places = [rows[judged.claim.than] + below for judged in drawn]
        suffix = f", {name}" if len(series) > 1 else ""
        traces += [
            _seeds(f"every seed{suffix}", one, drawn, places, notes),
            _means(f"mean and interval{suffix}", index, drawn, places, notes),
        ]
    smallest = findings.ablation.smallest_effect or 0.0
    layout = {
        "xaxis": {"title": {"text": _title(findings)}},
        "yaxis": {
            "tickvals": list(rows.values()),
            "ticktext": [plain(name) for name in rows],
            "range": [len(shown) - 0.5, -0.5],
        },
        "shapes": [_band(-smallest, smallest)],
    }
    height = 160 + PIXELS_A_ROW * len(shown) * len(series)
    live = Live(traces=traces, layout=layout, height=height, width=560)
    return LivePage(figures={"differences": live}, notes=notes)


def _title(findings: Findings) -> str:
    metric = plain(findings.ablation.metric)
    return (
        f"difference in {metric} to the reference<br>"
        "(left of 0: better than it, right of 0: worse)"
    )


def _seeds(
    name: str,
    findings: Findings,
    drawn: Sequence[Judged],
    places: Sequence[float],
    notes: dict[str, str],
) -> Trace:
    """Every paired seed; its note has both values."""
    points: list[tuple[float, float, str]] = []
    metric = findings.ablation.metric
    for judged, place in zip(drawn, places, strict=True):
        better, than = judged.claim.better, judged.claim.than
        values = {r.seed: r.value for r in findings.arms[better]}
        for item in findings.arms[than]:
            if item.seed in values:
                key = f"{name}: {than}, {item.seed}"
                notes[key] = (
                    f"seed {item.seed}, trial {item.record.number}\n"
                    f"{metric} of {than}: {item.value:.4f}\n"
                    f"of {better}: {values[item.seed]:.4f}"
                )
                points.append((item.value - values[item.seed], place, key))
    look = {"color": GREY, "size": 8, "opacity": 0.6}
    return _marks(name, points, look)


def _means(
    name: str,
    index: int,
    drawn: Sequence[Judged],
    places: Sequence[float],
    notes: dict[str, str],
) -> Trace:
    points: list[tuple[float, float, str]] = []
    ends: list[tuple[float, float]] = []
    for judged, place in zip(drawn, places, strict=True):
        found = judged.difference
        if found is None:
            continue
        low = high = found.mean
        said = ""
        if found.interval:
            low, high = found.interval.low, found.interval.high
            said = f" [{low:+.4f}, {high:+.4f}]"
        key = f"{name}: {judged.claim.than}"
        notes[key] = f"{judged.claim.than}: {found.mean:+.4f}{said}"
        points.append((found.mean, place, key))
        ends.append((low, high))
    beyond = {
        "type": "data",
        "symmetric": False,
        "array": [high - x for (x, *_), (_, high) in zip(points, ends, strict=True)],
        "arrayminus": [x - low for (x, *_), (low, _) in zip(points, ends, strict=True)],
        "color": colour(index),
        "thickness": 2.5,
        "width": 0,
    }
    look = {"color": colour(index), "size": 10, "symbol": SYMBOLS[index]}
    return {**_marks(name, points, look), "error_x": beyond}


def _marks(
    name: str, points: Sequence[tuple[float, float, str]], look: dict[str, Any]
) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x for x, _, _ in points],
        "y": [y for _, y, _ in points],
        "customdata": [key for _, _, key in points],
        "marker": look,
    }


def _band(low: float, high: float) -> dict[str, Any]:
    """What is smaller than anybody wants to know; without a bound the line at 0."""
    return {
        "type": "rect",
        "layer": "below",
        "x0": low,
        "x1": high,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "fillcolor": GREY,
        "opacity": 0.2 if high else 1.0,
        "line": {"width": 0 if high else 1, "color": GREY},
    }
