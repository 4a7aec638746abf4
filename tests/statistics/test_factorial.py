import itertools
import math

import numpy as np
import pandas
import pytest
import statsmodels.formula.api as formula

from orthotune.statistics.factorial import factorial_contrasts
from orthotune.statistics.paired import paired


def by_steps(cells):
    return {contrast.steps: contrast.values for contrast in factorial_contrasts(cells)}


def test_a_two_by_two_agrees_with_the_sums_by_hand():
    cells = {
        (0, 0): [10, 20],
        (0, 1): [11, 23],
        (1, 0): [14, 21],
        (1, 1): [19, 30],
    }
    assert by_steps(cells) == {
        ((0, 1),): (((14 - 10) + (19 - 11)) / 2, ((21 - 20) + (30 - 23)) / 2),
        ((1, 1),): (((11 - 10) + (19 - 14)) / 2, ((23 - 20) + (30 - 21)) / 2),
        ((0, 1), (1, 1)): ((19 - 14) - (11 - 10), (30 - 21) - (23 - 20)),
    }


def factorial(shape, num_seeds, seed):
    rng = np.random.default_rng(seed)
    return {
        cell: rng.normal(size=num_seeds)
        for cell in itertools.product(*map(range, shape))
    }


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 3, 2)])
def test_contrasts_agree_with_least_squares(shape):
    """Sum coding of the factors averaged over, treatment coding of those compared."""
    cells = factorial(shape, 4, seed=7)
    rows = [(*cell, y) for cell, ys in cells.items() for y in ys]
    columns = pandas.DataFrame(rows, columns=["a", "b", "c", "y"])
    fit = formula.ols("y ~ C(a, Treatment) * C(b, Treatment) * C(c, Sum)", columns)
    expected = fit.fit().params
    found = by_steps(cells)
    for level in range(1, shape[1]):
        name = f"C(a, Treatment)[T.1]:C(b, Treatment)[T.{level}]"
        mean = np.mean(found[((0, 1), (1, level))])
        assert mean == pytest.approx(expected[name])
    fit = formula.ols("y ~ C(a, Sum) * C(b, Treatment) * C(c, Sum)", columns)
    expected = fit.fit().params
    for level in range(1, shape[1]):
        mean = np.mean(found[((1, level),)])
        assert mean == pytest.approx(expected[f"C(b, Treatment)[T.{level}]"])


def test_every_level_and_pair_of_levels_has_its_contrast():
    found = list(by_steps(factorial((3, 2), 2, seed=8)))
    assert found == [
        ((0, 1),),
        ((0, 2),),
        ((1, 1),),
        ((0, 1), (1, 1)),
        ((0, 2), (1, 1)),
    ]
    assert list(by_steps(factorial((3,), 2, seed=8))) == [((0, 1),), ((0, 2),)]


def test_what_the_seed_does_to_all_cells_drops_out():
    cells = factorial((2, 2), 5, seed=9)
    shift = np.array([0, 10, -20, 5, 1])
    shifted = by_steps({cell: values + shift for cell, values in cells.items()})
    for steps, values in by_steps(cells).items():
        assert shifted[steps] == pytest.approx(values)


def test_added_effects_have_no_interaction():
    cells = {
        cell: np.array([0.1, 0.2, 0.4]) + 0.3 * cell[0] + 0.07 * cell[1]
        for cell in itertools.product(range(2), range(2))
    }
    found = by_steps(cells)
    assert paired(found[((0, 1), (1, 1))]).p == 1
    assert paired(found[((0, 1),)], against=0.3).p == 1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: factorial_contrasts({}),
            r"`cells` must have keys with one level index .*, but got \[\]\. Write",
        ),
        (
            lambda: factorial_contrasts({(0,): [1.0], (0, 1): [1.0]}),
            r"`cells` must have keys .*, but got \[\(0,\), \(0, 1\)\]",
        ),
        (
            lambda: factorial_contrasts({(0,): [1.0], (-1,): [1.0]}),
            r"`cells` must have keys .*, but got \[\(0,\), \(-1,\)\]",
        ),
        (
            lambda: factorial_contrasts({(0, 0): [1.0], (1, 0): [1.0]}),
            r"`cells` must hold two levels or more .* one of factor 1\. Leave that",
        ),
        (
            lambda: factorial_contrasts({(0, 0): [1.0], (0, 1): [1.0], (1, 0): [1.0]}),
            r"`cells` must hold every combination .*, but got no \(1, 1\)\. Train that",
        ),
        (
            lambda: factorial_contrasts({(0,): [1.0, 2.0], (1,): [1.0]}),
            r"`cells` must hold equally many seeds, 2 .*, but got 1 in \(1,\)\. Train",
        ),
        (
            lambda: factorial_contrasts({(0,): [1.0], (1,): [math.inf]}),
            r"`cells\[\(1,\)\]` must be finite, but got inf at index 0",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()
