import pytest

from orthotune.config.nested import flattened
from orthotune.errors import ConfigError


def test_sections_of_any_depth_become_dotted_names_in_order():
    nested = {"seed": 1, "model": {"depth": 8}, "optimizer": {"schedule": {"kind": 2}}}
    assert list(flattened(nested).items()) == [
        ("seed", 1),
        ("model.depth", 8),
        ("optimizer.schedule.kind", 2),
    ]


def test_a_section_may_be_named_by_a_dotted_name_and_hold_dotted_names():
    nested = {"a.b": {"c.d": {"e": 1}}, "a": {"f": 2}}
    assert flattened(nested) == {"a.b.c.d.e": 1, "a.f": 2}


def test_an_empty_section_says_nothing():
    assert flattened({"model": {}, "seed": 1}) == {"seed": 1}


@pytest.mark.parametrize(
    "both",
    [
        {"optimizer.lr": 1, "optimizer": {"lr": 1}},
        {"optimizer": {"lr": 1}, "optimizer.lr": 2},
        {"a": {"b": {"c": 1}, "b.c": 1}},
    ],
)
def test_a_name_that_is_there_in_both_ways_is_refused(both):
    with pytest.raises(ConfigError, match=r"must be given once, but is there both by"):
        flattened(both)
