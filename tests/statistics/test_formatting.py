import pytest

from orthotune.statistics.formatting import interval_text, p_text, signed
from orthotune.statistics.paired import Interval


@pytest.mark.parametrize(
    ("p", "text"),
    [(1.0, "1.0000"), (1e-4, "0.0001"), (9.99e-5, "< 0.0001"), (0.0, "< 0.0001")],
)
def test_a_p_value_is_never_shown_as_zero(p, text):
    assert p_text(p) == text


def test_a_difference_has_a_sign_and_a_metric_has_none():
    assert [signed(value) for value in (0.1, -0.1)] == ["+0.1000", "-0.1000"]
    interval = Interval(low=0.1, high=0.25)
    assert interval_text(interval) == "[+0.1000, +0.2500]"
    assert interval_text(interval, signed=False) == "[0.1000, 0.2500]"
