"""P-values corrected for how many there are."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from orthotune.statistics.correction import holm


def test_holm_agrees_with_the_steps_done_by_hand():
    # Times 4, 3, 2, 1 from the smallest on, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize("number", [1, 2, 7, 60])
def test_holm_agrees_with_statsmodels(number):
    draws = np.random.default_rng(number)
    ps = (draws.random(number) ** 3).round(2).tolist()  # with ties, 0 among them
    expected = multipletests(ps, method="holm")[1]
    assert holm(ps) == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-15)


def test_holm_leaves_out_what_was_not_tested():
    assert holm([None, 0.02, None, 0.5]) == [None, 0.04, None, 0.5]
    assert holm([None]) == [None]
    assert holm([]) == []


def test_holm_never_exceeds_one():
    assert holm([0.6, 0.9]) == [1, 1]
