import math

import numpy as np
import pytest

from orthotune.statistics.checks import check_fraction, finite


def test_numbers_of_any_kind_become_a_row_in_double_precision():
    for values in ([1, 2], (True, 2.0), np.array([1, 2], dtype=np.float32)):
        row = finite("values", values)
        assert row.dtype == np.float64
        assert row.tolist() == [1.0, 2.0]


def test_the_first_number_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match=r"^`mine` must be finite, but got inf at ind"):
        finite("mine", [0.0, math.inf, math.nan])
    with pytest.raises(ValueError, match=r"^`mine` must be a row of .* shape \(2, 1\)"):
        finite("mine", [[1.0], [2.0]])


@pytest.mark.parametrize("value", [0, 1, -0.1, 5, math.nan])
def test_what_is_no_fraction_is_refused_by_its_name(value):
    check_fraction("mine", 0.05)
    with pytest.raises(ValueError, match=r"^`mine` must lie between 0 and 1, but got "):
        check_fraction("mine", value)
