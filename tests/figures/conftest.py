"""A figure to draw on."""

import pytest
from matplotlib.figure import Figure

from orthotune.figures import parallel_coordinates as parallel
from orthotune.figures import search_figures


@pytest.fixture
def figure(monkeypatch):
    """A figure on which the next one is drawn, instead of into a file."""
    figure = Figure(figsize=(8, 4))

    def draw_here(_path, _size, draw):
        draw(figure)

    for module in (parallel, search_figures):
        monkeypatch.setattr(module, "draw_svg", draw_here)
    return figure
