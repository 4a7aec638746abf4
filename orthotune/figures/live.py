"""Figures that answer their reader, in a page that needs no server and asks no host.

A `Live` figure stands in place of the still one of the same name (see `page.py`): by
plotly, whose script lies compressed in the page, once. `live.js` beside this file draws
it: hovering over a point shows the note of its trial, a click on the legend takes a
kind away, and what is brushed in parallel coordinates is all that the others show.
"""

import base64
import gzip
import hashlib
import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from orthotune.figures.drawing import far_apart, round_numbers

INK = "@ink"
"""As a `color`: that of the page's text, in light and in dark."""

MOST_POINTS = 1000
"""Trials of a kind in a figure that answers; with more it answers late. The page of
2,000 trials has 4.3 MB, that of 5,000 has 5.5, of which plotly's script is 2.0."""

Trace = dict[str, Any]
"""One of plotly's traces."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """A figure that answers.

    Args:
        traces: Plotly's. The `customdata` of a point is the key of its note, by which
            it is also selected; without it a trace answers nothing.
        layout: Plotly's, without colours, which are the page's.
        height: In pixels; of one row where there are panels.
        panels: How many panels there are, which take as many columns as have room:
            axes `x` and `y`, `x2` and `y2`, ... Without any the layout is kept.
        width: The least, in pixels; what is wider than the window scrolls.
    """

    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    height: int = 400
    panels: int = 0
    width: int = 0


@dataclass(frozen=True, kw_only=True)
class LivePage:
    """The figures of a page that answer.

    Args:
        figures: By the names of the still ones, without suffix.
        notes: What hovering shows, lines of plain text, by key.
    """

    figures: Mapping[str, Live] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Upward:
    """An upward axis that tells small values apart, and its ends.

    Args:
        axis: Plotly's.
        low: The lowest place; zero stands there where the axis is logarithmic.
        high: The upper edge.
    """

    axis: Mapping[str, Any]
    low: float
    high: float

    def place(self, value: float) -> float:
        """A value's place: within the axis, whatever it is."""
        return min(max(value, self.low), self.high)


def upward(values: Sequence[float]) -> Upward:
    """An axis for values, logarithmic where they lie far apart, as in still figures.

    Args:
        values: What is to be seen; with any below 0 the axis is linear.

    Example:
        >>> upward([0.1, 0.2]).axis["type"], upward([0.01, 0.2]).axis["type"]
        ('linear', 'log')
        >>> upward([0.0, 0.01, 0.2]).place(0.0)
        0.005
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low < 0 or not far_apart(values):
        around = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
        ends = [low - around, high + around]
        axis: dict[str, Any] = {"type": "linear", "range": ends}
        return Upward(axis=axis, low=ends[0], high=high)
    smallest = min(value for value in values if value > 0)
    bottom = low or smallest / 2
    around = (high / bottom) ** 0.05
    ends = [math.log10(bottom / around), math.log10(high * around)]
    marks = round_numbers(smallest, high)
    places = marks if low > 0 else [bottom, *marks]
    labels = [f"{mark:g}" for mark in (marks if low > 0 else [0.0, *marks])]
    axis = {"type": "log", "range": ends, "tickvals": places, "ticktext": labels}
    return Upward(axis=axis, low=bottom, high=high)


def plain(text: str) -> str:
    """A text as plotly shows it to the letter, which else reads some of HTML.

    Example:
        >>> plain("<b>bold</b>")
        '&lt;b&gt;bold&lt;/b&gt;'
    """
    return html.escape(text, quote=False)


def container(name: str) -> str:
    """Where the figure of a name is drawn."""
    return f'<span class="live" id="live-{html.escape(name, quote=True)}"></span>'


def scripts(page: LivePage) -> tuple[str, str]:
    """What draws the figures of a page, and what its policy must allow.

    Args:
        page: The figures; at least one.

    Returns:
        Elements for the end of the body, and sources of scripts: these two by their
        content, and nothing else. Parallel coordinates compile what they draw with,
        which a policy calls evaluation.
    """
    library = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    drawing = (files("orthotune.figures") / "live.js").read_text()
    packed = base64.b64encode(gzip.compress(library, 6, mtime=0)).decode()
    content = {
        "figures": {name: _described(one) for name, one in page.figures.items()},
        "notes": dict(page.notes),
    }
    elements = (
        f'<script type="application/json" id="figures">{_json(content)}</script>\n'
        f'<script type="text/plain" id="plotly">{packed}</script>\n'
        f"<script>{drawing}</script>\n"
    )
    traces = [trace for one in page.figures.values() for trace in one.traces]
    compiled = any(trace["type"] == "parcoords" for trace in traces)
    sources = [_source(library), _source(drawing.encode())]
    return elements, " ".join([*sources, *["'unsafe-eval'"] * compiled])


def _described(one: Live) -> dict[str, Any]:
    return {
        "data": one.traces,
        "layout": one.layout,
        "height": one.height,
        "panels": one.panels,
        "width": one.width,
    }


def _json(content: object) -> str:
    """JSON that ends no element of HTML, whatever the names in it are."""
    text = json.dumps(_rounded(content), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """With six digits, which are more than a screen shows; no number is null."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value


def _source(script: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    return f"'sha256-{digest}'"
