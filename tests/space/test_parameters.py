import math
import random

from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
)
from orthotune.space.search_space import SearchSpace


def test_integer_bounds_are_inclusive_and_every_value_comes():
    parameter = IntParameter(name="x", low=2, high=11, step=3)
    rng = random.Random(0)
    assert {parameter.draw(rng) for _ in range(200)} == {2, 5, 8, 11}
    assert parameter.size == 4
    assert parameter.extremes() == [2, 11]


def test_the_upper_extreme_lies_on_the_grid():
    assert IntParameter(name="x", low=0, high=10, step=4).extremes() == [0, 8]


def test_logarithmic_numbers_are_uniform_in_their_logarithm():
    parameter = FloatParameter(name="x", low=1e-4, high=1, log=True)
    rng = random.Random(0)
    draws = [math.log10(parameter.draw(rng)) for _ in range(4000)]
    assert abs(sum(draws) / len(draws) + 2) < 0.08
    assert min(draws) >= -4
    assert max(draws) <= 0


def test_logarithmic_integers_reach_both_bounds():
    parameter = IntParameter(name="x", low=1, high=4, log=True)
    rng = random.Random(0)
    assert {parameter.draw(rng) for _ in range(300)} == {1, 2, 3, 4}


def test_stepped_numbers_lie_on_the_grid():
    parameter = FloatParameter(name="x", low=0, high=1, step=0.25)
    assert parameter.size == 5
    rng = random.Random(0)
    assert {parameter.draw(rng) for _ in range(200)} == {0, 0.25, 0.5, 0.75, 1}


def nested_space():
    return SearchSpace(
        parameters=(
            CategoricalParameter(name="a", choices=(True, False)),
            CategoricalParameter(name="b", choices=("x", "y"), when={"a": True}),
            FloatParameter(name="c", low=0, high=1, when={"b": "y"}),
        ),
        fixed={"d": 1},
    )


def test_a_condition_on_an_absent_parameter_is_false():
    space = nested_space()
    rng = random.Random(0)
    seen = set()
    for _ in range(100):
        values = space.draw(rng)
        assert values["d"] == 1
        assert ("b" in values) == values["a"]
        assert ("c" in values) == (values.get("b") == "y")
        seen.add(tuple(sorted(values)))
    assert seen == {("a", "d"), ("a", "b", "d"), ("a", "b", "c", "d")}


def test_a_condition_may_name_a_fixed_value():
    parameter = FloatParameter(name="c", low=0, high=1, when={"d": 1})
    assert SearchSpace(parameters=(parameter,), fixed={"d": 1}).is_active(parameter, {})
    assert not SearchSpace(parameters=(parameter,), fixed={"d": 2}).is_active(
        parameter, {}
    )


def test_corners_are_the_extremes_with_inactive_parameters_left_out():
    corners = list(nested_space().corners(100))
    assert {"d": 1, "a": True, "b": "y", "c": 1} in corners
    assert {"d": 1, "a": False} in corners
    assert len(list(nested_space().corners(3))) == 3


def test_size_multiplies_and_a_continuum_is_infinite():
    assert nested_space().size == math.inf
    finite = SearchSpace(parameters=nested_space().parameters[:2])
    assert finite.size == 4
