import math
from fractions import Fraction

import pytest
from scipy.stats import beta

from orthotune.statistics import proportion
from orthotune.statistics.proportion import exact_count_interval


def chance(seen, of, so, number):
    """To see so many in a sample without replacement, as a fraction."""
    ways = math.comb(so, seen) * math.comb(of - so, number - seen)
    return Fraction(ways, math.comb(of, number))


@pytest.mark.parametrize(("of", "number"), [(12, 3), (30, 8), (40, 40), (25, 1)])
def test_whatever_the_number_is_the_intervals_hold_it_at_least_as_often_as_said(
    of, number
):
    ends = [exact_count_interval(seen, number, of, 0.9) for seen in range(number + 1)]
    for so in range(of + 1):
        held = sum(
            chance(seen, of, so, number)
            for seen, (low, high) in enumerate(ends)
            if low <= so <= high
        )
        assert held >= Fraction(9, 10), so


def test_an_interval_is_no_wider_than_that_of_clopper_and_pearson():
    for count in (1, 5, 20):
        low, high = exact_count_interval(count, 40, 400)
        assert low >= math.floor(400 * beta.ppf(0.025, count, 41 - count))
        assert high <= math.ceil(400 * beta.ppf(0.975, count + 1, 40 - count))


def test_of_very_many_it_is_that_of_clopper_and_pearson(monkeypatch):
    monkeypatch.setattr(proportion, "MOST", 100)
    expected = (1000 * beta.ppf(0.025, 3, 8), 1000 * beta.ppf(0.975, 4, 7))
    found = exact_count_interval(3, 10, 1000)
    assert found == (math.floor(expected[0]), math.ceil(expected[1]))
    assert exact_count_interval(0, 10, 1000)[0] == 0
