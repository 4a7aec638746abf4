"""A study to report of, and a figure to draw on."""

import pytest
from matplotlib.figure import Figure

from orthotune.report import parallel_coordinates as parallel
from orthotune.report import search_figures
from tests.report.searched import SPACE, study_of


@pytest.fixture
def figure(monkeypatch):
    """A figure on which the next one is drawn, instead of into a file."""
    figure = Figure(figsize=(8, 4))

    def draw_here(_path, _size, draw):
        draw(figure)

    for module in (parallel, search_figures):
        monkeypatch.setattr(module, "draw_svg", draw_here)
    return figure


@pytest.fixture
def study(tmp_path):
    return study_of(tmp_path, SPACE)
