"""A surface over two parameters: where there is one, and where none is claimed."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from orthotune.figures.contour import Surface, draw_contour, live_contour
from orthotune.report.importance import EVERY, Importance
from orthotune.report.slice_text import surface_part
from orthotune.report.surface import CELLS, _explained, _process, surface
from orthotune.space.parameters import CategoricalParameter, FloatParameter
from tests.made_records import record

X = FloatParameter(name="optimizer.momentum", low=0.0, high=0.8)
Y = FloatParameter(name="optimizer.lr", low=1e-3, high=1e-1, log=True)
KIND = CategoricalParameter(name="data.root", choices=("a", "b"))
SPACE = [KIND, Y, X]
FOUND = Importance(
    group=EVERY,
    num_trials=40,
    epoch=2,
    fanova={KIND.name: 0.5, X.name: 0.3, Y.name: 0.2},
    ped_anova={KIND.name: 0.5, X.name: 0.3, Y.name: 0.2},
)


def records_of(height, count=40, noise=0.005):
    """Trials of a known surface over the two scales, at random places."""
    rng, made = random.Random(4), []
    for number in range(count):
        x, y = rng.random(), rng.random()
        error = height(x, y) + noise * rng.gauss(0, 1)
        fields = {X.name: 0.8 * x, Y.name: 10 ** (2 * y - 3), KIND.name: "a"}
        made.append(record(number, [0.9, error], **fields))
    return made


def bowl(x, y):
    return 0.3 + 0.2 * (x - 0.3) ** 2 + 0.1 * (y - 0.6) ** 2


def waves(x, y):
    return 0.4 + 0.2 * math.sin(9 * x) * math.cos(9 * y)


@pytest.fixture(scope="module")
def smooth():
    return surface(SPACE, records_of(bowl), "val_error", [FOUND], seed=0)


def test_a_surface_is_that_of_the_trials_over_the_two_that_matter_most(smooth):
    assert [p.name for p in smooth.parameters] == [X.name, Y.name]  # no choice has one
    assert (smooth.epoch, len(smooth.numbers), smooth.logarithmic) == (2, 40, False)
    assert 0.8 < smooth.explained <= 1
    across, upwards = smooth.sides
    wrong = [
        abs(smooth.heights[row][column] - bowl(across[column], upwards[row]))
        for row, column in itertools.product(range(CELLS), repeat=2)
        if not math.isnan(smooth.heights[row][column])
    ]
    assert len(wrong) > CELLS**2 / 2
    assert max(wrong) < 0.03


def test_where_no_trial_is_near_there_is_a_gap():
    corner = [
        one
        for one in records_of(
            lambda x, y: 0.4 + 0.2 * math.sin(9 * x) * math.cos(9 * y), 160
        )
        if one.fields[X.name] < 0.4 or one.fields[Y.name] < 1e-2
    ]
    found = surface(SPACE, corner, "val_error", [FOUND], seed=0)
    assert math.isnan(found.heights[-1][-1])
    assert not math.isnan(found.heights[5][5])


@pytest.mark.filterwarnings("ignore:The optimal value")
def test_what_is_explained_is_what_refits_without_each_trial_explain():
    rng = np.random.default_rng(1)
    points = rng.random((25, 2))
    values = np.sin(4 * points[:, 0]) + 0.3 * rng.normal(size=25)
    values = (values - values.mean()) / values.std()
    process = _process().fit(points, values)
    wrong = []
    for k in range(25):
        kept = np.arange(25) != k
        other = _process().set_params(kernel=process.kernel_, optimizer=None)
        other.fit(points[kept], values[kept])
        wrong.append(values[k] - other.predict(points[k : k + 1])[0])
    expected = 1 - np.mean(np.square(wrong))
    assert _explained(process, 25) == pytest.approx(expected, rel=1e-6)


def test_chance_is_no_surface():
    noise = records_of(lambda x, y: 0.4, noise=0.05)
    found = surface(SPACE, noise, "val_error", [FOUND], seed=0)
    assert isinstance(found, str)
    assert "`optimizer.momentum` and `optimizer.lr`" in found
    assert "30% are asked for" in found


def test_of_too_little_there_is_a_sentence():
    few = replace(FOUND, fanova={}, ped_anova={})
    assert "take 20 trials" in surface(SPACE, [], "val_error", [few], seed=0)
    one = replace(FOUND, fanova={KIND.name: 0.5, X.name: 0.5})
    found = surface(SPACE, records_of(bowl), "val_error", [one], seed=0)
    assert found == "it takes two numeric parameters that vary, in effect together."


def test_very_many_trials_are_sampled_and_the_report_says_so(tmp_path):
    many = records_of(bowl, 130)
    found = surface(SPACE, many, "val_error", [FOUND], seed=3)
    assert (len(found.numbers), found.num_trials) == (100, 130)
    assert found == surface(SPACE, many[::-1], "val_error", [FOUND], seed=3)


def test_errors_far_apart_are_smoothed_by_their_ratios():
    found = surface(
        SPACE,
        records_of(lambda x, y: 10 ** (-2 * x), noise=0),
        "val_error",
        [FOUND],
        seed=0,
    )
    assert found.logarithmic
    assert found.heights[20][20] == pytest.approx(-2 * found.sides[0][20], abs=0.05)
    assert set(found.marks.values()) >= {"0.02", "0.1", "0.5"}


def test_the_figures_show_the_trials_that_the_surface_rests_on(smooth, tmp_path):
    draw_contour(tmp_path / "contour.svg", smooth)
    drawn = (tmp_path / "contour.svg").read_text()
    assert drawn.count("<use ") > 40
    assert "optimizer.momentum" in drawn
    shape, points = live_contour(smooth).traces
    assert len(shape["z"]) == CELLS
    assert points["customdata"] == [str(number) for number in range(40)]
    assert list(zip(points["x"], points["y"], strict=True)) == smooth.points


class Told:
    """What a text reads of the findings."""

    def __init__(self, surface):
        self.surface = surface


def test_the_text_says_how_much_it_explains_or_why_there_is_none(smooth, tmp_path):
    assert isinstance(smooth, Surface)
    part = surface_part(tmp_path / "contour.svg", Told(smooth))
    assert part[1].endswith("](contour.svg)")
    assert f"explains {smooth.explained:.0%}" in part[2]
    part = surface_part(None, Told("it takes more."))
    assert part[1] == "There is no surface: it takes more."
    assert surface_part(None, Told("")) == []
