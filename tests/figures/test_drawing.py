"""Axes that tell small values apart, judged by where matplotlib puts them."""

import pytest
from matplotlib.figure import Figure

from orthotune.figures.drawing import tell_small_apart


def places(values):
    """Where values lie on the axis: 0 its lower end, 1 its upper."""
    axes = Figure(figsize=(8, 4)).subplots()
    tell_small_apart(axes, values)
    inside = axes.transData + axes.transAxes.inverted()
    return axes, [float(inside.transform((0.5, value))[1]) for value in values]


@pytest.mark.parametrize("worst", [0.1, 0.85, 50.0])
def test_the_smallest_values_take_a_part_of_the_axis_that_can_be_seen(worst):
    _, (low, high, *_) = places([0.01, 0.03, worst])
    assert high - low > 0.1


def test_values_that_lie_near_each_other_have_a_plain_axis():
    axes, (low, middle, high) = places([0.4, 0.6, 0.8])
    assert axes.get_yscale() == "linear"
    assert middle - low == pytest.approx(high - middle)


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.01, 0.03, 0.85],
        [0.01, 0.85],
        [1e-6, 3e4],
        [0.3, 0.95],
        [0.0],
        [0.5, 0.5],
        [0.0, 0.01],
        [],
    ],
)
def test_every_value_is_inside_in_its_order_and_has_marks_around(values):
    axes, found = places(values)
    assert found == sorted(found)
    assert all(0 <= place <= 1 for place in found)
    low, high = axes.get_ylim()
    marks = [mark for mark in axes.get_yticks() if low <= mark <= high]
    assert 2 <= len(marks) <= 12


def test_zero_stands_below_the_smallest_of_the_others():
    axes, (zero, small, *_) = places([0.0, 0.01, 0.02, 0.85])
    assert 0 < zero < small < 0.4
    assert axes.get_yticklabels()[0].get_text() == "0"
