"""Figures as SVG that can be read in light and in dark, alone or within a page."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.training.atomic import atomic_write

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.figure import Figure

# Okabe and Ito's palette, and line styles beside it: told apart without colour too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#767676")
STYLES = ("-", "--", "-.", ":")
GREY = "#767676"

_UNSAID = ("Creator", "Date", "Format", "Type")
_BLACK = "#000000"
_THEME = (
    "<style>svg{color:#1a1a1a;background:#fff}text{fill:currentColor}"
    "@media screen and (prefers-color-scheme:dark)"
    "{svg{color:#e6e6e6;background:#16181d}}</style>"
)


def colour(index: int) -> str:
    """The colour of the so-manieth line."""
    return COLOURS[index % len(COLOURS)]


def style(index: int) -> str:
    """The line style of the so-manieth line."""
    return STYLES[index % len(STYLES)]


def draw_svg(
    path: Path, size: tuple[float, float], draw: "Callable[[Figure], None]"
) -> None:
    """Write a figure as an SVG file whose black and white follow the reader's theme.

    Text stays text, and the same drawing gives the same file.

    Args:
        path: The file.
        size: Width and height in inches.
        draw: Draws on an empty figure; what is black there takes the theme's colour.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": path.stem,  # names are apart where pages hold several figures
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "legend.facecolor": "none",
        "legend.framealpha": 0.0,
    }
    with rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(_UNSAID))
    text = buffer.getvalue().replace(_BLACK, "currentColor")
    text = text.replace("<defs>", f"{_THEME}<defs>", 1)
    with atomic_write(path) as file:
        file.write(text.encode())
