import math
import pickle
import random

import pytest

from orthotune.space.constraints import Constraint, fields_named

ALLOWED = [
    "a <= 3",
    "a * b.c - 2 < 8e0",
    "-a / (b.c + 0.5) >= -1e0",
    "1 <= a < 2 * b.c",
    "a == b.c",
    "a != 2",
    "2*a*a - b.c/4 > 1",
]
REFUSED = {
    "__import__('os').system('id') <= 1": "must hold only numbers, names of fields",
    "open('x') <= 1": "must hold only numbers",
    "a[0] <= 1": "must hold only numbers",
    "a ** 9 ** 9 <= 1": "must hold only numbers",
    "(lambda: 1) <= 1": "must hold only numbers",
    "[a for a in b] <= 1": "must hold only numbers",
    "(a := 3) <= 1": "must hold only numbers",
    "f'{a}' <= 1": "must hold only numbers",
    "True <= 1": "must hold only numbers",
    "1j <= 1": "must hold only numbers",
    "'a' <= 1": "must hold only numbers",
    "a // 2 <= 1": "must hold only numbers",
    "1e400 <= a": "must hold only numbers",
    "'x'.y <= 1": "must hold only numbers",
    "a in b": "must compare by",
    "a is b": "must compare by",
    "a": "must be a comparison",
    "a and b": "must be a comparison",
    "a <= 1 and b <= 2": "must be a comparison",
    "a = 1": "must be a comparison",
    "a <=": "must be a comparison",
    "": "must be a comparison",
    "a; b": "must be a comparison",
    "import os": "must be a comparison",
    "(" * 250 + "a" + ")" * 40: "must be a comparison",
    "a <= " + "-" * 400 + "1": "must be at most 300 letters long, but has 406",
    "a\0 <= 1": "must be a comparison",
}


@pytest.mark.parametrize("text", ALLOWED)
def test_a_constraint_is_what_python_says_of_the_same_numbers(text):
    rng = random.Random(text)
    named = Constraint(text=text, defaults={"a": 0, "b.c": 0})
    seen = set()
    for _ in range(200):
        a, b = rng.choice([rng.uniform(-9, 9), rng.randint(-3, 9)]), rng.randint(0, 9)
        expected = eval(text.replace("b.c", "b"), {"a": a, "b": b})
        assert named.holds({"a": a, "b.c": b}) == expected
        seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_more_than_a_comparison_of_sums_is_refused(text):
    with pytest.raises(ValueError, match=REFUSED[text]):
        fields_named(text)


def test_the_longest_nesting_that_is_allowed_is_computed():
    text = "-" * 200 + "a <= 1" + " + 1" * 20
    assert Constraint(text=text, defaults={"a": 0}).holds({"a": 21})


def test_a_field_that_a_trial_does_not_have_counts_with_its_default():
    constraint = Constraint(text="a * b <= 10", defaults={"a": 5, "b": 3})
    assert not constraint.holds({})
    assert constraint.holds({"b": 2})


@pytest.mark.parametrize(
    "text", ["1 / a <= 1", "a * 1e308 * 1e308 >= 1", "a * 1e308 * 1e308 - 1e308 != a"]
)
def test_what_has_no_finite_value_does_not_hold(text):
    values = {"a": 0} if "/" in text else {"a": 10}
    assert not Constraint(text=text, defaults={"a": 1}).holds(values)


def test_the_excess_is_below_0_by_the_room_that_is_left():
    constraint = Constraint(text="2 <= a < b", defaults={"a": 0, "b": 0})
    assert constraint.excesses({"a": 3, "b": 7}) == [-1, -4]
    assert constraint.excesses({"a": 1, "b": 0}) == [1, 1]
    assert Constraint(text="a == b", defaults={"a": 1, "b": 1}).excesses({}) == []
    huge = Constraint(text="a <= 1e308", defaults={"a": -1e308})
    assert all(map(math.isfinite, huge.excesses({})))


def test_a_constraint_that_was_used_can_be_pickled():
    constraint = Constraint(text="a <= 3", defaults={"a": 1})
    assert constraint.holds({})
    again = pickle.loads(pickle.dumps(constraint))
    assert again == constraint
    assert not again.holds({"a": 4})
