import itertools
import math

import numpy as np
import pytest
from scipy import stats

from orthotune.statistics.correction import holm
from orthotune.statistics.paired import (
    PairedTest,
    Verdict,
    judge,
    paired,
    summarize,
)
from tests.ablation.simulate import coverage, least_often, most_often, rates
from tests.statistics.made import further, measured

FEW = [0.031, -0.012, 0.044, 0.027, 0.008]
MANY = [3, -1, 4, 1, -5, 9, 2, 6, -5, 3, 5, 8, -9]


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
    ],
)
def test_what_cannot_be_is_refused_in_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_beside_a_diverged_pair_the_others_are_no_ties():
    assert paired([1e30, 0.1, 0.2, 0.3, 0.15]).superiority == 1.0
    assert paired([1e30, -0.1, -0.2, -0.3, -0.15]).superiority == 0.2
