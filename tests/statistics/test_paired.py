import gc
import itertools
import math

import numpy as np
import pandas
import pytest
import statsmodels.formula.api as formula
from scipy import stats
from statsmodels.stats.power import TTestPower

from orthotune.statistics.factorial import factorial_contrasts
from orthotune.statistics.interim_looks import level_per_look, looks
from orthotune.statistics.paired import (
    PairedDifference,
    PairedTest,
    Verdict,
    holm,
    judge,
    paired,
    summarize,
)
from orthotune.statistics.power import detectable_effect, seeds_needed
from tests.ablation.simulate import (
    coverage,
    family,
    least_often,
    most_often,
    rates,
)

FEW = [0.031, -0.012, 0.044, 0.027, 0.008]
MANY = [3, -1, 4, 1, -5, 9, 2, 6, -5, 3, 5, 8, -9]


def measured(mean, sd, n=5, against=0.0):
    """A difference of which only these numbers matter."""
    return PairedDifference(
        n=n,
        mean=mean,
        sd=sd,
        interval=None,
        against=against,
        p=None,
        test=PairedTest.NONE,
        superiority=0.5,
    )


# One arm.


def test_an_arm_has_the_mean_and_t_interval_of_the_tables():
    arm = summarize([1, 2, 3, 4, 5], [False] * 5)
    assert (arm.n, arm.mean) == (5, 3)
    assert arm.sd == pytest.approx(math.sqrt(2.5))
    # 2.776445 is the 97.5 % quantile of t with 4 degrees of freedom.
    half = 2.776445 * math.sqrt(2.5 / 5)
    assert arm.interval.low == pytest.approx(3 - half, abs=1e-6)
    assert arm.interval.high == pytest.approx(3 + half, abs=1e-6)


def test_one_replicate_has_a_mean_and_nothing_else():
    arm = summarize([0.4], [False])
    assert (arm.n, arm.mean, arm.sd, arm.interval) == (1, 0.4, None, None)
    # No event in one: (0, 1 - 0.025).
    assert arm.divergence_interval.low == 0
    assert arm.divergence_interval.high == pytest.approx(0.975)


@pytest.mark.parametrize("num_diverged", [0, 1, 3, 10])
def test_the_divergence_rate_has_the_exact_interval(num_diverged):
    flags = [True] * num_diverged + [False] * (10 - num_diverged)
    arm = summarize(np.arange(10) / 10, flags, confidence=0.9)
    exact = stats.binomtest(num_diverged, 10).proportion_ci(0.9, method="exact")
    assert arm.num_diverged == num_diverged
    assert arm.divergence_interval.low == pytest.approx(exact.low)
    assert arm.divergence_interval.high == pytest.approx(exact.high)


@pytest.mark.parametrize("value", [0.0, 0.1, 1.0])
def test_equal_values_have_no_spread(value):
    arm = summarize([value] * 7, [False] * 7)
    assert arm.sd == 0
    assert arm.interval.low == arm.interval.high == pytest.approx(value)


def test_students_t_covers_more_than_the_bootstrap_at_small_n():
    rng = np.random.default_rng(3)
    t, bca = coverage(rng.normal(size=(800, 5)), 0.0, num_resamples=999)
    assert t > bca + 0.06
    t, bca = coverage(rng.exponential(size=(800, 5)), 1.0, num_resamples=999)
    assert t > bca + 0.04
    t, bca = coverage(rng.exponential(size=(800, 20)), 1.0, num_resamples=999)
    assert abs(t - bca) < 0.02


# Pairs.


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_few_pairs_are_judged_by_the_paired_t_test(confidence):
    left = np.array([0.5, 0.41, 0.62, 0.33, 0.57])
    found = paired(left - (left - FEW), confidence=confidence)
    oracle = stats.ttest_rel(left, left - FEW)
    interval = oracle.confidence_interval(confidence)
    assert found.test is PairedTest.T
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.interval.low == pytest.approx(interval.low)
    assert found.interval.high == pytest.approx(interval.high)
    assert found.sd == pytest.approx(np.std(FEW, ddof=1))


def test_a_shift_of_the_data_and_of_the_hypothesis_cancel():
    for data in (FEW, MANY):
        found = paired(np.array(data) + 0.25, against=0.25)
        assert found.p == pytest.approx(paired(data).p)
        assert found.against == 0.25


def test_flipped_signs_give_the_p_counted_by_hand():
    # Sums of +-1 +-2 +-3 as far out as 1 + 2 - 3 = 0: all; as 6: two of eight.
    assert paired([1, 2, -3], smallest_p=0.25).p == 1
    found = paired([1, 2, 3], smallest_p=0.25)
    assert (found.p, found.test) == (2 / 8, PairedTest.SIGN_FLIP)
    # Sums 10, 8, 6, 4 (twice), ... : as far out as -1 + 2 + 3 + 4 = 8 are four of 16.
    assert paired([-1, 2, 3, 4], smallest_p=0.125).p == 4 / 16
    # The same numbers around another center.
    assert paired([0, 3, 4, 5], against=1, smallest_p=0.125).p == 4 / 16


def test_halving_the_enumeration_counts_what_all_signs_count():
    signs = np.array(list(itertools.product([1, -1], repeat=len(MANY))))
    expected = np.mean(np.abs(signs @ MANY) >= abs(sum(MANY)))
    found = paired(MANY)
    assert found.test is PairedTest.SIGN_FLIP
    assert found.p == expected
    # Equal sums stay equal when a tenth is not a binary number.
    assert paired(np.array(MANY) * 0.1).p == expected


def test_flipped_signs_agree_with_scipy():
    differences = np.random.default_rng(4).normal(0.4, 1, size=14)
    oracle = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert paired(differences).p == pytest.approx(oracle.pvalue)


def test_the_test_flips_signs_from_where_p_can_be_small_to_where_it_is_dear():
    rng = np.random.default_rng(5)

    def test_at(n, **options):
        return paired(rng.normal(size=n), **options).test

    assert [test_at(n) for n in (10, 11)] == [PairedTest.T, PairedTest.SIGN_FLIP]
    assert [test_at(n) for n in (40, 41)] == [PairedTest.SIGN_FLIP, PairedTest.T]
    assert test_at(6, smallest_p=2**-5) is PairedTest.SIGN_FLIP
    assert test_at(6, smallest_p=2**-5 - 1e-6) is PairedTest.T
    # On either side of that end both tests say much the same.
    differences = rng.normal(0.3, 1, size=40)
    t = stats.ttest_1samp(differences, 0).pvalue
    assert paired(differences).p == pytest.approx(t, rel=0.1)


def test_one_pair_is_not_tested():
    found = paired([0.3])
    assert (found.n, found.mean, found.sd, found.interval) == (1, 0.3, None, None)
    assert (found.p, found.test) == (None, PairedTest.NONE)


@pytest.mark.parametrize("n", [2, 5, 50])
def test_equal_differences_have_the_p_of_their_signs(n):
    found = paired([0.5] * n)
    assert found.p == 2.0 ** (1 - n)
    assert found.sd == 0
    assert found.interval.low == found.interval.high == 0.5
    nothing = paired([0.5] * n, against=0.5)
    assert nothing.p == 1
    assert nothing.sd == 0


def test_differences_equal_but_for_rounding_are_equal():
    differences = [0.31 - 0.30, 0.11 - 0.10, 0.91 - 0.90]
    assert len(set(differences)) > 1
    found = paired(differences, against=0.01)
    assert (found.p, found.sd) == (1, 0)
    assert paired(differences).p == 0.25


def test_superiority_counts_ties_half():
    assert paired([1, 2, -1, 0]).superiority == (2 + 0.5) / 4
    assert paired([1, 2, 3], against=5).superiority == 1
    assert paired([0.3 - 0.1 - 0.2, 1]).superiority == 0.75


# Claims.


def test_holm_agrees_with_the_steps_done_by_hand():
    # Times 4, 3, 2, 1 from the smallest on, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested():
    assert holm([None, 0.02, None, 0.5]) == [None, 0.04, None, 0.5]
    assert holm([None]) == [None]
    assert holm([]) == []


def test_holm_never_exceeds_one():
    assert holm([0.6, 0.9]) == [1, 1]


@pytest.mark.parametrize(
    ("mean", "p", "verdict"),
    [
        (0.3, 0.05, Verdict.SUPPORTED),
        (0.1, 0.05, Verdict.CONTRADICTED),
        (0.3, 0.051, Verdict.UNDECIDED),
        (0.1, 0.051, Verdict.UNDECIDED),
        (0.2, 0.01, Verdict.UNDECIDED),
        (0.3, None, Verdict.UNDECIDED),
    ],
)
def test_a_verdict_needs_a_small_p_and_takes_its_side(mean, p, verdict):
    assert judge(measured(mean, 1, against=0.2), p) is verdict


def test_a_verdict_depends_on_the_level():
    assert judge(measured(1, 1), 0.03, alpha=0.01) is Verdict.UNDECIDED
    assert judge(measured(-1, 1), 0.03, alpha=0.03) is Verdict.CONTRADICTED


# Planning.


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


# Factorial designs.


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


# Looks.


@pytest.mark.parametrize(
    ("initial", "maximum", "expected"),
    [
        (5, 30, (5, 8, 12, 19, 30)),
        (2, 5, (2, 3, 5)),
        (5, 5, (5,)),
        (5, 6, (5, 6)),
        (10, 15, (10, 15)),
    ],
)
def test_looks_grow_by_about_half(initial, maximum, expected):
    assert looks(initial, maximum) == expected


@pytest.mark.parametrize("initial", [2, 3, 5, 8])
def test_looks_rise_from_the_first_to_the_last(initial):
    for maximum in range(initial, 60):
        ns = looks(initial, maximum)
        assert (ns[0], ns[-1]) == (initial, maximum)
        assert all(a < b <= math.ceil(1.9 * a) for a, b in itertools.pairwise(ns))


def test_the_looks_share_the_level():
    assert level_per_look(0.05, 1) == 0.05
    assert level_per_look(0.05, 4) * 4 == pytest.approx(0.05)


def further(*values):
    """Parameters of the same kind, which only `make soak` has the time for."""
    return [
        pytest.param(*one, marks=pytest.mark.soak)
        if isinstance(one, tuple)
        else pytest.param(one, marks=pytest.mark.soak)
        for one in values
    ]


# Studies with known truth. A right procedure fails a bound one time in a thousand
# (`simulate.ODDS`); with fixed seeds it either always does or never.


@pytest.mark.parametrize(
    ("n", "effect"), [(5, 0), *further((5, 1), (10, 0), (10, 0.7))]
)
def test_intervals_of_few_pairs_cover_as_they_say(n, effect):
    samples = np.random.default_rng(10).normal(effect, 1, size=(2000, n))
    assert 0.93 <= rates(samples, effect).covered <= 0.97


@pytest.mark.parametrize("n", [5, 12, *further(10, 25)])
def test_a_claim_without_an_effect_is_rarely_decided(n):
    repetitions = 2000
    samples = np.random.default_rng(11).normal(0.3, 1, size=(repetitions, n))
    found = rates(samples, 0.3, against=0.3)
    wrong = (found.supported + found.contradicted) * repetitions
    assert wrong <= most_often(repetitions, 0.05)
    # Nor is the test so timid that this says nothing.
    assert wrong >= least_often(repetitions, 0.04)
    assert found.supported * repetitions <= most_often(repetitions, 0.025)


def test_heavy_tails_and_divergence_of_both_arms_keep_the_level():
    rng = np.random.default_rng(12)
    for n in (5, 12):
        for samples in (
            rng.standard_t(2, size=(1000, n)),
            rng.normal(0, 0.02, size=(1000, n))
            + 0.88 * (rng.random((1000, n)) < 0.2)
            - 0.88 * (rng.random((1000, n)) < 0.2),
        ):
            found = rates(samples, 0.0)
            wrong = (found.supported + found.contradicted) * 1000
            assert wrong <= most_often(1000, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0, *further(0.7)])
def test_adding_seeds_until_decided_keeps_level_and_coverage(effect):
    repetitions, ns = 1000, looks(5, 30)
    samples = np.random.default_rng(13).normal(effect, 1, size=(repetitions, ns[-1]))
    found = rates(samples, effect, ns=ns)
    assert found.covered >= 0.93
    if effect:
        assert found.supported > 0.7
        assert found.mean_n < 0.8 * ns[-1]
    else:
        wrong = (found.supported + found.contradicted) * repetitions
        assert wrong <= most_often(repetitions, 0.05)


@pytest.mark.soak
def test_adding_seeds_without_a_correction_would_not_keep_the_level():
    repetitions, ns = 500, looks(5, 30)
    samples = np.random.default_rng(13).normal(size=(repetitions, ns[-1]))
    found = rates(samples, 0.0, ns=ns, alpha=0.05 * len(ns))
    wrong = (found.supported + found.contradicted) * repetitions
    assert wrong > most_often(repetitions, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ns", "repetitions"), [((5, 8, 12), 300), *further(((5, 8, 12), 1000))]
)
def test_a_family_of_claims_is_rarely_wrong_at_all(ns, repetitions, monkeypatch):
    # multipletests collects garbage at every call, 40 ms each.
    monkeypatch.setattr(gc, "collect", lambda *_: 0)
    rng = np.random.default_rng(14)
    means = [0, 0, 0, 2.5]
    wrong = found = 0
    for _ in range(repetitions):
        # Claims hang together: all compare with the same arm.
        verdicts = family(rng.normal(size=(5, ns[-1])), means, ns)
        wrong += any(verdict is not Verdict.UNDECIDED for verdict in verdicts[:3])
        found += verdicts[3] is Verdict.SUPPORTED
    assert wrong <= most_often(repetitions, 0.05)
    assert wrong > 0
    assert found > 0.8 * repetitions


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


# Refusals.


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: summarize([], []),
            r"`values` must be a row of .*, but got shape \(0,\)\. Give one number",
        ),
        (
            lambda: summarize([[1.0]], [False]),
            r"`values` must be a row of one number or more, but got shape \(1, 1\)",
        ),
        (
            lambda: summarize([0.1, math.nan], [False, True]),
            r"`values` must be finite, but got nan at index 1\. Give a diverged",
        ),
        (
            lambda: summarize([0.1, 0.2], [False]),
            r"`diverged` must hold one flag a value, 2, but got 1\. Give one",
        ),
        (
            lambda: summarize([0.1], [False], confidence=95),
            r"`confidence` must lie between 0 and 1, but got 95\. Write 5 % as 0\.05",
        ),
        (
            lambda: paired([]),
            r"`differences` must be a row of one number or more, but got shape \(0,\)",
        ),
        (
            lambda: paired([0.1, 0.2, -math.inf]),
            r"`differences` must be finite, but got -inf at index 2",
        ),
        (
            lambda: paired([0.1], against=math.nan),
            r"`against` must be finite, but got nan",
        ),
        (
            lambda: paired([0.1], confidence=1.0),
            r"`confidence` must lie between 0 and 1, but got 1\.0",
        ),
        (
            lambda: paired([0.1], smallest_p=0),
            r"`smallest_p` must lie between 0 and 1, but got 0\.",
        ),
        (
            lambda: holm([0.1, 1.5]),
            r"`p_values` must lie in \[0, 1\], but got 1\.5\. Give None",
        ),
        (
            lambda: holm([math.nan]),
            r"`p_values` must lie in \[0, 1\], but got nan",
        ),
        (
            lambda: judge(measured(1, 1), 0.5, alpha=5),
            r"`alpha` must lie between 0 and 1, but got 5\.",
        ),
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
        (lambda: looks(1, 5), r"`initial` must be >= 2, but got 1\. One pair has"),
        (
            lambda: looks(5, 4),
            r"`maximum` must be >= `initial`, 5, but got 4\. Raise it, or start",
        ),
        (
            lambda: level_per_look(1.5, 2),
            r"`alpha` must lie between 0 and 1, but got 1\.5",
        ),
        (
            lambda: level_per_look(0.05, 0),
            r"`num_looks` must be >= 1, but got 0\. Give the number of looks",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_beside_a_diverged_pair_the_others_are_no_ties():
    assert paired([1e30, 0.1, 0.2, 0.3, 0.15]).superiority == 1.0
    assert paired([1e30, -0.1, -0.2, -0.3, -0.15]).superiority == 0.2
