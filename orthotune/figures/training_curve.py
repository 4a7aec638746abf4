"""The figure of one training: loss, error and learning rate, epoch by epoch."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orthotune.config.trial import TrialConfig
from orthotune.figures.drawing import (
    colour,
    draw_png,
    draw_svg,
    style,
    tell_small_apart,
)
from orthotune.figures.page import write_page
from orthotune.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE_SUFFIXES = (".svg", ".png", ".html")
SIZE = (7.0, 7.0)

_PANELS = {"loss": ("train_loss", "val_loss"), "error": ("val_error",), "lr": ("lr",)}
"""The metrics of each panel, by what its axis says."""


def write_training_curve(
    path: Path, epochs: Sequence[Mapping[str, float]], config: TrialConfig
) -> None:
    """Write the figure of a training, alone or as a page with its numbers.

    Args:
        path: The file; its name ends in one of `CURVE_SUFFIXES`.
        epochs: The metrics of every epoch, the first one first.
        config: What was trained.
    """
    depth = config.in_effect().get("model.depth")
    network = config.model.family + ("" if depth is None else f"-{depth}")
    title = f"{network} on {config.data.name}, seed {config.seed}"
    if path.suffix == ".html":
        _write_page(path, epochs, title)
        return
    draw_file = {".svg": draw_svg, ".png": draw_png}[path.suffix]
    draw_file(path, SIZE, lambda figure: _draw(figure, epochs, title))


def _draw(figure: "Figure", epochs: Sequence[Mapping[str, float]], title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = range(1, len(epochs) + 1)
    panels = figure.subplots(len(_PANELS), sharex=True, height_ratios=(3, 3, 2))
    for axes, (label, names) in zip(panels, _PANELS.items(), strict=True):
        curves = {name: [metrics[name] for metrics in epochs] for name in names}
        tell_small_apart(
            axes, [value for values in curves.values() for value in values]
        )
        for index, (name, values) in enumerate(curves.items()):
            look = {"color": colour(index), "linestyle": style(index)}
            axes.plot(numbers, values, label=name, marker=".", **look)
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(names) > 1:
            axes.legend(fontsize="small")
    panels[-1].set_xlabel("epoch")
    figure.suptitle(title, fontsize="medium")


def _write_page(path: Path, epochs: Sequence[Mapping[str, float]], title: str) -> None:
    names = list(epochs[-1])
    rows = [["epoch", *names], ["---"] * (len(names) + 1)]
    for number, metrics in enumerate(epochs, 1):
        values = (f"{metrics[name]:.4g}" if name in metrics else "" for name in names)
        rows.append([str(number), *values])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    text = f"# {title}\n\n![The curves of its metrics](curve.svg)\n\n{table}\n"
    with tempfile.TemporaryDirectory() as folder:
        figure, page = Path(folder, "curve.svg"), Path(folder, "page.html")
        draw_svg(figure, SIZE, lambda empty: _draw(empty, epochs, ""))
        write_page(page, text)
        content = page.read_bytes()
    with atomic_write(path) as file:
        file.write(content)
