import pytest

from orthotune.space.conditions import Between, OneOf, condition_text, holds


@pytest.mark.parametrize(
    ("wanted", "met", "unmet"),
    [
        ("l2", ["l2"], ["none", None]),
        ([4, 8], [[4, 8]], [4, 8, [8, 4]]),
        (OneOf(one_of=("l2", "none")), ["l2", "none"], ["orthonormal"]),
        (OneOf(one_of=([4, 8], [8, 8])), [[8, 8]], [8, [4, 4]]),
        (Between(low=56), [56, 110, 56.5], [55, None, "60", [60]]),
        (Between(high=0), [0, -1.5], [0.1]),
        (Between(low=1, high=2), [1, 2, 1.5], [0, 3]),
    ],
)
def test_a_condition_holds_for_what_it_wants_and_for_nothing_else(wanted, met, unmet):
    assert [holds(wanted, value) for value in met] == [True] * len(met)
    assert [holds(wanted, value) for value in unmet] == [False] * len(unmet)


def test_a_condition_is_told_as_it_is_meant():
    assert condition_text({}) == ""
    assert condition_text({"kind": "l2"}) == "kind = l2"
    assert condition_text({"x": Between(low=0.5)}) == "x >= 0.5"
    assert condition_text({"x": Between(high=3), "y": OneOf(one_of=(1, 2))}) == (
        "x <= 3 and y = 1 or 2"
    )
