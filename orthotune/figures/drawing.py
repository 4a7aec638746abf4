"""Figures as SVG that can be read in light and in dark, alone or within a page."""

import io
import itertools
from collections.abc import Callable, Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from orthotune.files import atomic_write

if TYPE_CHECKING:  # a study needs matplotlib when it ends: it does not wait for it
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

T = TypeVar("T")

MOST_LINES = 250
"""Lines of a kind; with more a figure grows to megabytes and shows less."""

PNG_DPI = 150

FAR_APART = 3.0
"""How many times the smallest value the largest is, where an axis is logarithmic."""

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
    """The colour of a line, by its number."""
    return COLOURS[index % len(COLOURS)]


def style(index: int) -> str:
    """The style of a line, by its number."""
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


def thinned(items: Sequence[T], most: int = MOST_LINES) -> list[T]:
    """At most so many, evenly from first to last, both included.

    Example:
        >>> thinned("abcde", 3)
        ['a', 'c', 'e']
    """
    if len(items) <= most:
        return list(items)
    return [items[k * (len(items) - 1) // (most - 1)] for k in range(most)]


def far_apart(values: Sequence[float]) -> bool:
    """Whether the largest of values is over `FAR_APART` times the smallest above 0.

    Example:
        >>> far_apart([0.0, 0.1, 0.5]), far_apart([0.0, 0.4, 0.5]), far_apart([])
        (True, False, False)
    """
    above = [value for value in values if value > 0]
    return bool(above) and max(above) > FAR_APART * min(above)


def tell_small_apart(axes: "Axes", values: Sequence[float]) -> None:
    """Let an upward axis show differences among the smallest of values, too.

    Where the largest is more than `FAR_APART` times the smallest, equal ratios have
    equal lengths; zero, which has no logarithm, then stands below all others. The axis
    spans the values; what lies beyond is for who draws it.

    Args:
        axes: The axes.
        values: What is to be seen; none is below 0.
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    if not far_apart(values):
        around = 0.05 * (high - low) or 0.05 * high or 0.05
        axes.set_ylim(low - around, high + around)
        return
    smallest = min(value for value in values if value > 0)
    around = (high / smallest) ** 0.05
    marks = round_numbers(smallest, high)
    if low > 0:
        axes.set_yscale("log")
        axes.set_ylim(smallest / around, high * around)
    else:
        axes.set_yscale("symlog", linthresh=smallest, linscale=0.3)
        axes.set_ylim(-0.3 * smallest, high * around)
        marks = [0.0, *marks]
    axes.set_yticks(marks, [f"{value:g}" for value in marks])
    axes.set_yticks([], minor=True)


def round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; over many decades fewer, within one more.

    Args:
        low: The least, above 0.
        high: The largest.

    Example:
        >>> round_numbers(0.03, 3)
        [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    """
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    steps: Sequence[float] = (1, 2, 5) if len(decades) <= 5 else (1,)
    if high <= 10 * low:
        steps = (1, 1.5, 2, 3, 4, 5, 6, 8)
    every = max(1, len(decades) // 8)
    values = (
        float(f"{step}e{decade}")
        for decade, step in itertools.product(decades[::every], steps)
    )
    return [value for value in values if low <= value <= high]


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


def draw_png(
    path: Path, size: tuple[float, float], draw: "Callable[[Figure], None]"
) -> None:
    """Write a figure as a PNG file, in black on white.

    Args:
        path: The file.
        size: Width and height in inches.
        draw: Draws on an empty figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
