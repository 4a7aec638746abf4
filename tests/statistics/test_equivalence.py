import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from orthotune.statistics.equivalence import (
    equivalence_p,
    paired_beyond,
    seeds_to_equivalence,
)
from orthotune.statistics.paired import paired
from tests.statistics.made import measured


@pytest.mark.parametrize("shift", [0.0, 0.4, -0.9, 1.3])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_p_is_that_of_statsmodels_two_one_sided_tests(shift, n):
    rng = np.random.default_rng(n)
    ours, theirs = rng.normal(0, 1, n), rng.normal(shift, 1, n)
    found = equivalence_p(paired(ours - theirs), 1.0)
    assert found == pytest.approx(ttost_paired(ours, theirs, -1.0, 1.0)[0])


def test_p_reaches_alpha_where_the_interval_of_twice_alpha_touches_the_margin():
    differences = np.array([0.1, 0.3, -0.2, 0.25, 0.05])
    ends = stats.ttest_1samp(differences, 0).confidence_interval(1 - 2 * 0.05)
    margin = max(abs(ends.low), abs(ends.high))
    found = paired(differences)
    assert equivalence_p(found, margin) == pytest.approx(0.05)
    assert equivalence_p(found, margin * 1.01) < 0.05 < equivalence_p(found, margin / 2)


def test_nothing_is_equivalent_without_a_margin_or_a_spread():
    found = paired([0.1, 0.2, 0.15])
    assert equivalence_p(found, 0.0) is None
    assert equivalence_p(paired([0.0, 0.0, 0.0]), 1.0) is None
    assert equivalence_p(paired([0.1]), 1.0) is None


def test_a_difference_beyond_the_margin_is_tested_against_its_nearest_end():
    differences = [-0.5, -0.7, -0.4, -0.9]
    found = paired_beyond(differences, 0.2)
    assert found.p == pytest.approx(stats.ttest_1samp(differences, -0.2).pvalue)
    assert (found.against, found.mean) == pytest.approx((-0.2, -0.625))
    assert paired_beyond([0.1, -0.1, 0.15], 0.2).p == 1.0
    assert paired_beyond([0.1], 0.2).p is None


def test_as_many_seeds_as_are_said_to_be_needed_decide_four_times_in_five():
    seen = measured(0.3, 1.0)
    n = seeds_to_equivalence(seen, 1.0)
    rng = np.random.default_rng(0)

    def power(n):
        draws = rng.normal(0.3, 1.0, (20_000, n))
        mean, error = draws.mean(1), stats.sem(draws, axis=1)
        reach = np.abs(mean) + stats.t.isf(0.05, n - 1) * error
        return np.mean(reach <= 1.0)

    assert power(n - 1) < 0.8 + 0.01
    assert power(n) > 0.8 - 0.01


@pytest.mark.parametrize(
    ("mean", "sd", "margin"), [(1.0, 1.0, 1.0), (0.1, 0.0, 1.0), (0.9, 40.0, 1.0)]
)
def test_no_number_of_seeds_is_told_where_none_would_do(mean, sd, margin):
    assert seeds_to_equivalence(measured(mean, sd), margin) is None
