"""Figures as SVG that can be read in light and in dark, alone or within a page."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.training.atomic import atomic_write

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# Okabe and Ito's palette, and line styles beside it: told apart without colour too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#767676")
STYLES = ("-", "--", "-.", ":")
GREY = "#767676"

_UNSAID = ("Creator", "Date", "Format", "Type")
_BLACK = "#000000"
# A text on a line is legible by its halo.
_THEME = (
    "<style>svg{color:#1a1a1a;background:#fff}"
    "text{fill:currentColor;stroke:#fff;stroke-width:2px;stroke-linejoin:round;"
    "paint-order:stroke}"
    "@media screen and (prefers-color-scheme:dark)"
    "{svg{color:#e6e6e6;background:#16181d}text{stroke:#16181d}}</style>"
)


def colour(index: int) -> str:
    """The colour of the so-manieth line."""
    return COLOURS[index % len(COLOURS)]


def style(index: int) -> str:
    """The line style of the so-manieth line."""
    return STYLES[index % len(STYLES)]


def colour_map() -> "Colormap":
    """Colours for numbers, told apart by colour-blind readers too.

    The middle of matplotlib's plasma: its contrast is about 2 : 1 or more against a
    white page and against a dark one.
    """
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["plasma"](np.linspace(0.25, 0.8, 64)))


def is_wide(values: Sequence[float]) -> bool:
    """Whether numbers want a logarithmic axis: over more than two decades.

    Example:
        >>> is_wide([0.1, 20.0]), is_wide([0.0, 20.0]), is_wide([])
        (True, False, False)
    """
    return bool(values) and min(values) > 0 and max(values) > 100 * min(values)


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
