import numpy as np
import pytest
from scipy import optimize, stats

from orthotune.statistics.across_blocks import pool
from orthotune.statistics.paired import paired
from tests.ablation.simulate import least_often, most_often
from tests.statistics.made import measured

MEANS, ERRORS = np.array([0.30, 0.10, 0.22, 0.55]), np.array([0.05, 0.04, 0.08, 0.1])


def blocks(means=MEANS, errors=ERRORS, n=16):
    return [
        measured(m, e * np.sqrt(n), n=n) for m, e in zip(means, errors, strict=True)
    ]


def test_it_is_paule_and_mandels_mean_with_hartung_and_knapps_interval():
    """By the equation that defines tau: the weighted squares equal k - 1."""

    def excess(tau2):
        weights = 1 / (ERRORS**2 + tau2)
        mean = np.average(MEANS, weights=weights)
        return np.sum(weights * (MEANS - mean) ** 2) - 3

    tau2 = optimize.brentq(excess, 0, 1, xtol=1e-14)
    weights = 1 / (ERRORS**2 + tau2)
    mean = np.average(MEANS, weights=weights)
    error = np.sqrt(1 / weights.sum())  # their scale is 1, by the equation
    found = pool(blocks(), against=0.1)
    assert found.difference.mean == pytest.approx(mean, rel=1e-4)
    assert found.between_sd == pytest.approx(np.sqrt(tau2), rel=1e-4)
    t = stats.t.isf(0.025, 3)
    interval, following = found.difference.interval, found.next_block
    assert interval.high - interval.low == pytest.approx(2 * t * error, rel=1e-4)
    wide = 2 * t * np.sqrt(tau2 + error**2)
    assert following.high - following.low == pytest.approx(wide, rel=1e-4)
    p = 2 * stats.t.sf(abs(mean - 0.1) / error, 3)
    assert found.difference.p == pytest.approx(p, rel=1e-3)
    assert (found.difference.n, found.difference.superiority) == (4, 1.0)


def test_i2_is_the_share_of_cochrans_q_beyond_its_degrees_of_freedom():
    weights = 1 / ERRORS**2
    q = np.sum(weights * (MEANS - np.average(MEANS, weights=weights)) ** 2)
    assert pool(blocks()).i2 == pytest.approx(1 - 3 / q)


def test_a_unit_changes_nothing_but_the_unit():
    small, large = pool(blocks(1e-3 * MEANS, 1e-3 * ERRORS)), pool(blocks())
    assert 1e3 * small.between_sd == pytest.approx(large.between_sd, rel=1e-6)
    assert small.difference.p == pytest.approx(large.difference.p, rel=1e-6)


def test_blocks_that_agree_by_chance_are_no_surer_than_their_spreads():
    found = pool(blocks(np.full(3, 0.2), np.full(3, 0.1)))
    assert found.between_sd == found.i2 == 0
    half = stats.t.isf(0.025, 2) * 0.1 / np.sqrt(3)
    assert found.difference.interval.high == pytest.approx(0.2 + half)


def test_there_is_no_mean_of_one_block_or_of_one_without_spread():
    assert pool(blocks(MEANS[:1], ERRORS[:1])) is None
    assert pool([paired([0.1, 0.2, 0.15]), paired([0.0, 0.0, 0.0])]) is None


@pytest.mark.parametrize("num_blocks", [3, 6])
def test_intervals_cover_the_mean_and_the_next_block(num_blocks):
    """95 % of 600 times, or more; a normal interval of three covers 80 to 90 %."""
    rng, covered, foretold = np.random.default_rng(0), 0, 0
    for _ in range(600):
        truths = rng.normal(0.2, 0.1, num_blocks + 1)
        errors = rng.uniform(0.03, 0.15, num_blocks)
        found = pool(blocks(rng.normal(truths[:-1], errors), errors))
        ends, following = found.difference.interval, found.next_block
        covered += ends.low <= 0.2 <= ends.high
        foretold += following.low <= truths[-1] <= following.high
    assert covered >= least_often(600, 0.95)
    assert foretold >= least_often(600, 0.9)
    assert covered <= most_often(600, 0.995)
