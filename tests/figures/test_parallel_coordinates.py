"""Parallel coordinates: where lines pass, and what stands beside them."""

import itertools

import pytest

from orthotune.figures.drawing import MOST_LINES, thinned
from orthotune.figures.parallel_coordinates import UNSET, Line, draw_parallel, ticks
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
)
from tests.report.searched import LR

BATCH = IntParameter(name="data.batch_size", low=10, high=50)
ENABLED = CategoricalParameter(name="modulation.enabled", choices=(True, False))
WIDTHS = CategoricalParameter(name="model.widths", choices=([4, 4, 4], [4, 8, 8]))
THRESHOLD = FloatParameter(
    name="modulation.threshold", low=0, high=0.5, when={"modulation.enabled": True}
)
SPACE = [LR, ENABLED, THRESHOLD, WIDTHS]


def lines_of(figure):
    """The points of every trial: of those that are grey, and of the others."""
    grey, coloured = figure.axes[0].collections[:2]
    return [
        [[tuple(point) for point in path.vertices] for path in kind.get_paths()]
        for kind in (grey, coloured)
    ]


def test_a_line_passes_every_axis_at_the_place_of_its_value(figure, tmp_path):
    best = {
        "optimizer.lr": 0.01,
        "modulation.enabled": False,
        "model.widths": [4, 8, 8],
    }
    worse = {
        "optimizer.lr": 0.1,
        "modulation.enabled": True,
        "modulation.threshold": 0.125,
        "model.widths": [4, 4, 4],
    }
    compared = [Line(values=best, metric=0.25), Line(values=worse, metric=0.75)]
    others = [Line(values=worse, metric=0.9)]
    draw_parallel(tmp_path / "x.svg", "val_error", SPACE, compared, others)
    grey, coloured = lines_of(figure)
    points = [(0, 1), (1, 0), (2, 0.25), (3, 0)]
    assert grey == [[pytest.approx(point) for point in points]]
    # The best is drawn last, above the others; all end at their metric.
    assert coloured[0] == [pytest.approx(point) for point in [*points, (4, 1)]]
    ours = [(0, 0.5), (1, 1), (2, UNSET), (3, 1), (4, 0)]
    assert coloured[1] == [pytest.approx(point) for point in ours]
    widths = figure.axes[0].collections[1].get_linewidths()
    assert widths[1] == 2 * widths[0]
    assert "unset" in [text.get_text() for text in figure.axes[0].texts]


def test_one_bad_trial_does_not_make_all_others_one_colour(figure, tmp_path):
    errors = [0.01, 0.02, 0.02, 0.03, 0.85]
    lines = [Line(values={"optimizer.lr": 0.01}, metric=error) for error in errors]
    draw_parallel(tmp_path / "x.svg", "val_error", [LR], lines, [])
    axes, bar = figure.axes[0], figure.axes[0].child_axes[0]
    ends = [points[-1][1] for points in lines_of(figure)[1]]
    assert ends[::-1] == [0, 0.375, 0.375, 0.75, 1]  # ranks 1, 2.5, 2.5, 4 and 5
    shades = [tuple(shade) for shade in axes.collections[1].get_colors()]
    assert len(set(shades)) == 4
    marks = zip(bar.get_yticks(), bar.get_yticklabels(), strict=True)
    assert [(at, label.get_text()) for at, label in marks] == [
        (0, "0.01"),
        (0.375, "0.02"),
        (0.75, "0.03"),
        (1, "0.85"),
    ]


def test_marks_beside_the_colours_do_not_lie_on_each_other(figure, tmp_path):
    errors = [0.001 * n for n in range(1, 100)]
    lines = [Line(values={"optimizer.lr": 0.01}, metric=error) for error in errors]
    draw_parallel(tmp_path / "x.svg", "val_error", [LR], lines, [])
    places = list(figure.axes[0].child_axes[0].get_yticks())
    assert (places[0], places[-1]) == (0, 1)
    gaps = [after - at for at, after in itertools.pairwise(places)]
    assert 0.1 < min(gaps) <= max(gaps) < 0.3


def test_a_value_that_is_not_in_effect_has_its_mark_without_a_condition(
    figure, tmp_path
):
    lines = [Line(values={"optimizer.lr": 0.01}, metric=0.1), Line(values={}, metric=1)]
    draw_parallel(tmp_path / "x.svg", "val_error", [LR], lines, [])
    assert "unset" in [text.get_text() for text in figure.axes[0].texts]
    assert lines_of(figure)[1][0] == [(0, UNSET), (1, 1)]


def test_many_parameters_take_several_rows(figure, tmp_path):
    many = [FloatParameter(name=f"optimizer.p{n}", low=0, high=1) for n in range(20)]
    values = {parameter.name: 0.5 for parameter in many}
    line = Line(values=values, metric=0.5)
    draw_parallel(tmp_path / "x.svg", "val_error", many, [line], [])
    ends = [axes.collections[1].get_paths()[0].vertices for axes in figure.axes]
    assert [len(points) - 1 for points in ends] == [6, 7, 7]


def test_of_very_many_lines_some_are_drawn_the_best_and_the_worst_among_them():
    lines = [Line(values={}, metric=float(n)) for n in range(1234)]
    kept = [line.metric for line in thinned(lines)]
    assert len(set(kept)) == len(kept) == MOST_LINES
    assert (kept[0], kept[-1]) == (0, 1233)
    assert kept == sorted(kept)


def test_marks_are_bounds_round_values_decades_and_choices():
    assert ticks(LR) == [(0, "0.001"), (1, "0.1"), (pytest.approx(0.5), "0.01")]
    assert [label for _, label in ticks(BATCH)] == ["10", "50", "20", "30", "40"]
    assert ticks(WIDTHS) == [(0, "[4, 4, 4]"), (1, "[4, 8, 8]")]
    long = CategoricalParameter(name="data.root", choices=("a" * 40,))
    assert ticks(long) == [(0.5, "a" * 13 + "…")]
