import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from orthotune.statistics.paired import paired
from orthotune.statistics.power import detectable_effect, seeds_needed
from tests.ablation.simulate import least_often, most_often, rates
from tests.statistics.made import further, measured


@pytest.mark.parametrize("effect", [0.3, 0.5, 0.8, 1.5, 3])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_seeds_needed_are_those_of_statsmodels(effect, alpha):
    n = seeds_needed(measured(0.1 + effect * 0.2, 0.2, against=0.1), alpha=alpha)
    assert TTestPower().power(effect, n, alpha) > 0.8 - 1e-3
    assert TTestPower().power(effect, n - 1, alpha) < 0.8 + 1e-3


def test_seeds_needed_do_not_depend_on_the_sign():
    assert seeds_needed(measured(-1, 2)) == seeds_needed(measured(1, 2))


def test_seeds_needed_grow_with_what_is_asked():
    difference = measured(1, 1)
    usual = seeds_needed(difference)
    assert seeds_needed(difference, power=0.95) > usual
    assert seeds_needed(difference, alpha=0.001) > usual


def test_seeds_needed_end_at_the_most():
    n = seeds_needed(measured(0.2, 1))
    assert seeds_needed(measured(0.2, 1), most=n) == n
    assert seeds_needed(measured(0.2, 1), most=n - 1) is None


@pytest.mark.parametrize(
    ("differences", "against"),
    [([0.3], 0), ([0.1, -0.1], 0), ([0.2, 0.2], 0.2), ([0.31 - 0.3, 0.11 - 0.1], 0.01)],
)
def test_seeds_needed_are_unknown_after_one_pair_or_without_effect(
    differences, against
):
    assert seeds_needed(paired(differences, against=against)) is None


def test_equal_differences_need_the_seeds_at_which_they_are_rejected():
    n = seeds_needed(paired([0.3, 0.3]), alpha=0.05)
    assert paired([0.3] * n).p <= 0.05 < paired([0.3] * (n - 1)).p
    assert seeds_needed(paired([0.3, 0.3]), most=n - 1) is None


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_the_detectable_effect_is_found_with_the_power_of_statsmodels(n):
    effect = detectable_effect(0.5, n, power=0.9)
    # Its power adds the wrong side, which here is next to nothing.
    assert TTestPower().power(effect / 0.5, n, 0.05) == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(("n", "alpha"), [(2, 1e-5), (2, 0.05), (5, 1e-3)])
def test_the_detectable_effect_is_right_where_a_noncentral_t_is_not(n, alpha):
    effect = detectable_effect(1.0, n, alpha=alpha)
    samples = np.random.default_rng(6).normal(effect, 1, size=(40_000, n))
    t = samples.mean(axis=1) / samples.std(axis=1, ddof=1) * math.sqrt(n)
    num_found = np.sum(t >= stats.t.isf(alpha / 2, n - 1))
    # 5e-4: half of what one point of the quadrature weighs, times two.
    assert num_found <= most_often(40_000, 0.8 + 5e-4)
    assert num_found >= least_often(40_000, 0.8 - 5e-4)


def test_nothing_is_detectable_without_two_pairs_or_spread():
    assert detectable_effect(0.5, 1) is None
    assert detectable_effect(0.0, 10) is None


def test_seeds_needed_and_detectable_effect_are_inverse():
    assert seeds_needed(measured(detectable_effect(0.5, 17) * 1.0001, 0.5)) == 17
    assert seeds_needed(measured(detectable_effect(0.5, 17) * 0.9999, 0.5)) == 18


# Studies with known truth. A right procedure fails a bound one time in a thousand
# (`simulate.ODDS`); with fixed seeds it either always does or never.


@pytest.mark.parametrize("effect", [0.9, *further(0.6, 1.5)])
def test_the_seeds_needed_have_the_power_promised(effect):
    repetitions = 1000
    n = seeds_needed(measured(effect, 1))
    samples = np.random.default_rng(15).normal(effect, 1, size=(repetitions, n))
    num_found = rates(samples, effect).supported * repetitions
    # Signs have a little less power than t, a whole n a little more than asked.
    assert num_found >= least_often(repetitions, 0.79)
    shorter = rates(samples[:, : n - 2], effect).supported * repetitions
    assert shorter <= most_often(repetitions, 0.8)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: seeds_needed(measured(1, 1), alpha=0),
            r"`alpha` must lie between 0 and 1, but got 0\.",
        ),
        (
            lambda: seeds_needed(measured(1, 1), power=1),
            r"`power` must lie between 0 and 1, but got 1\.",
        ),
        (
            lambda: detectable_effect(1.0, 5, alpha=0.3, power=0.2),
            r"`power` must be above `alpha`, 0\.3, but got 0\.2\. A test rejects",
        ),
        (
            lambda: detectable_effect(-1.0, 5),
            r"`sd` must be a finite number >= 0, but got -1\.0\. Give the standard",
        ),
        (
            lambda: detectable_effect(math.nan, 5),
            r"`sd` must be a finite number >= 0, but got nan",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()
