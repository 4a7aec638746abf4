"""Learning curves of a search: whose they are, how they ended, what is drawn."""

import xml.etree.ElementTree as ET

import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from orthotune.figures import learning_curves
from orthotune.figures.drawing import MOST_LINES
from orthotune.figures.learning_curves import compared_at, draw_learning_curves, kinds
from orthotune.record.trial_record import Status
from orthotune.space.settings import SearchSettings
from tests.made_records import record

BEST = record(0, [0.8, 0.4, 0.1])
WORSE = record(1, [0.9, 0.5, 0.3])
SECOND = record(2, [0.8, 0.5], Status.STOPPED)
FIRST = [record(n, [0.9 + n / 1000], Status.STOPPED) for n in (3, 4)]
DIVERGED = record(5, [0.9, 1.0], Status.DIVERGED)
RUNNING = record(6, [0.7], Status.INTERRUPTED)


@pytest.fixture
def axes(monkeypatch):
    """Where the next figure is drawn, instead of into a file."""
    figure = Figure(figsize=(8, 4))
    monkeypatch.setattr(learning_curves, "draw_svg", lambda _p, _s, draw: draw(figure))

    def drawn(*arguments):
        draw_learning_curves("x.svg", "val_error", *arguments)
        (axes,) = figure.axes
        return axes

    return drawn


def curves(axes):
    """The points of every thin line."""
    return [
        [tuple(point) for point in path.vertices]
        for collection in axes.collections
        if isinstance(collection, LineCollection)
        for path in collection.get_paths()
    ]


def test_every_trial_is_a_line_and_the_best_the_thickest(axes):
    others = [SECOND, *FIRST, DIVERGED, RUNNING]
    drawn = axes([1, 2], [BEST, WORSE], others)
    thin = [
        [(n, metrics["val_error"]) for n, metrics in one.history.items()]
        for one in [WORSE, *others]
    ]
    assert sorted(curves(drawn)) == sorted(thin)
    (best,) = (one for one in drawn.lines if one.get_label() == "the lowest, trial 0")
    assert best.get_xydata().tolist() == [[1, 0.8], [2, 0.4], [3, 0.1]]
    widths = [width for one in drawn.collections for width in one.get_linewidths()]
    assert best.get_linewidth() > max(widths)


def test_those_stopped_at_each_rung_are_told_apart(axes):
    found = kinds([BEST, WORSE, SECOND, *FIRST, DIVERGED, RUNNING])
    assert {kind.label: [r.number for r in kind.records] for kind in found} == {
        "stopped at epoch 1": [3, 4],
        "stopped at epoch 2": [2],
        "full budget": [0, 1],
        "diverged": [5],
        "not ended": [6],
    }
    assert len({(kind.colour, kind.style) for kind in found}) == len(found)
    drawn = axes([1, 2], [BEST, WORSE], [SECOND, *FIRST, DIVERGED, RUNNING])
    labels = drawn.get_legend_handles_labels()[1]
    assert labels[:3] == [
        "stopped at epoch 1 (2)",
        "stopped at epoch 2 (1)",
        "full budget (2)",
    ]


def test_rungs_are_vertical_lines(axes):
    drawn = axes([4, 12], [BEST], [])
    upright = [line for line in drawn.lines if list(line.get_ydata()) == [0, 1]]
    assert [line.get_xdata() for line in upright] == [[4, 4], [12, 12]]


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({"grace_epochs": 4}, [4, 12]),
        ({"scheduler": "none"}, []),
        ({"scheduler": "pbt", "perturbation_epochs": 4}, [4, 8, 12]),
    ],
)
def test_trials_are_compared_where_the_scheduler_does(settings, epochs):
    assert compared_at(SearchSettings(max_epochs=16, **settings)) == epochs


def test_what_diverges_to_a_million_ends_at_the_upper_edge(axes):
    drawn = axes([], [BEST], [record(1, [0.9, 1e6], Status.DIVERGED)])
    top = drawn.get_ylim()[1]
    assert top < 1
    ends = [line.get_ydata()[-1] for line in drawn.lines if len(line.get_ydata()) == 1]
    assert ends == [top]


def test_of_very_many_trials_some_are_drawn_and_all_are_counted(axes):
    others = [record(n, [0.5], Status.STOPPED) for n in range(1, 401)]
    drawn = axes([1], [BEST], others)
    assert len(curves(drawn)) == MOST_LINES
    labels = drawn.get_legend_handles_labels()[1]
    assert labels == ["stopped at epoch 1 (400)", "the lowest, trial 0"]


@pytest.mark.parametrize("compared", [[], [BEST]])
def test_a_figure_of_next_to_nothing_is_still_one(compared, tmp_path):
    path = tmp_path / "curves.svg"
    draw_learning_curves(path, "val_error", [1], compared, [])
    assert ET.parse(path).getroot().tag.endswith("svg")
