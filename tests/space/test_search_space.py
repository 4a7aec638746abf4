import random

import pytest

from orthotune.errors import SearchSpaceError
from orthotune.space.conditions import Between, OneOf
from orthotune.space.constraints import Constraint
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    JointParameter,
)
from orthotune.space.search_space import SearchSpace

SIZE = JointParameter(name="size", sets=("depth", "batch"), choices=((8, 64), (20, 16)))
KIND = CategoricalParameter(name="kind", choices=("none", "l2", "ortho"))
COEFF = FloatParameter(
    name="coeff", low=0, high=1, step=0.5, when={"kind": OneOf(one_of=("l2", "ortho"))}
)
LATE = IntParameter(name="late", low=1, high=2, when={"coeff": Between(low=0.5)})


def test_a_joint_choice_sets_all_its_fields_together():
    space = SearchSpace(parameters=(SIZE,), fixed={"seed": 1})
    rng = random.Random(0)
    found = {tuple(sorted(space.draw(rng).items())) for _ in range(30)}
    assert found == {
        (("batch", 64), ("depth", 8), ("seed", 1)),
        (("batch", 16), ("depth", 20), ("seed", 1)),
    }
    assert space.size == 2
    assert space.fields == ("depth", "batch")


def test_a_condition_may_name_a_field_of_a_joint_choice():
    late = IntParameter(name="late", low=1, high=2, when={"depth": Between(low=9)})
    found = SearchSpace(parameters=(SIZE, late)).combinations(99)
    assert found == [
        {"depth": 8, "batch": 64},
        {"depth": 20, "batch": 16, "late": 1},
        {"depth": 20, "batch": 16, "late": 2},
    ]


def test_what_waits_for_a_conditional_parameter_is_not_there_without_it():
    found = SearchSpace(parameters=(KIND, COEFF, LATE)).combinations(99)
    rows = [tuple(values.values()) for values in found]
    assert rows == [
        ("none",),
        *(
            row
            for kind in ("l2", "ortho")
            for row in [
                (kind, 0.0),
                (kind, 0.5, 1),
                (kind, 0.5, 2),
                (kind, 1.0, 1),
                (kind, 1.0, 2),
            ]
        ),
    ]


def test_there_are_no_combinations_of_too_many_or_of_a_continuum():
    space = SearchSpace(parameters=(KIND, COEFF, LATE))
    assert len(space.combinations(11)) == 11
    assert space.combinations(10) is None
    endless = FloatParameter(name="x", low=0, high=1)
    assert SearchSpace(parameters=(endless,)).combinations(10**6) is None


def bounded(text, **defaults):
    constraint = Constraint(text=text, defaults=defaults)
    depth = IntParameter(name="depth", low=1, high=50)
    rate = FloatParameter(name="rate", low=0, high=1)
    return SearchSpace(parameters=(depth, rate), constraints=(constraint,))


def test_every_draw_meets_the_constraints_and_is_uniform_among_those_that_do():
    space, rng = bounded("depth * rate <= 5", depth=0, rate=0), random.Random(0)
    drawn = [space.draw(rng) for _ in range(2000)]
    assert all(values["depth"] * values["rate"] <= 5 for values in drawn)
    # Depth d is allowed with probability min(1, 5 / d).
    weights = [min(1, 5 / d) for d in range(1, 51)]
    expected = sum(d * w for d, w in enumerate(weights, 1)) / sum(weights)
    assert abs(sum(v["depth"] for v in drawn) / 2000 - expected) < 1.2


def test_a_space_without_a_point_is_said_to_have_none():
    with pytest.raises(SearchSpaceError, match="none of 50,000 draws meets them"):
        bounded("depth >= 51", depth=0).draw(random.Random(0))


def test_the_corners_and_the_example_meet_the_constraints():
    space = bounded("depth * rate >= 25", depth=0, rate=0)
    assert list(space.corners(99)) == [{"depth": 50, "rate": 1}]
    example = space.example()  # the first corner is ruled out
    assert example["depth"] * example["rate"] >= 25
    free = SearchSpace(parameters=space.parameters)
    assert free.example() == {"depth": 1, "rate": 0}
