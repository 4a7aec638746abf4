import dataclasses
import math
from dataclasses import dataclass

import pytest

from orthotune.errors import ConfigError
from orthotune.schema.fields import build, check_fields, leaves, rules
from orthotune.schema.rules import RULE, Rule, setting, show

FRACTION = Rule(kind=float, low=0, high=1)
RATE = Rule(kind=float, above=0, high=100)
MOMENTUM = Rule(kind=float, low=0, below=1)
COUNT = Rule(kind=int, low=2)
ANY = Rule(kind=float)
SWITCH = Rule(kind=bool)
WORD = Rule(kind=str)
CHOICE = Rule(kind=str, choices=("plain", "residual"))
LIST = Rule(kind=float, above=0, below=1, is_list=True)
OPTIONAL = Rule(kind=int, low=2, high=9, optional=True)
OR_AUTO = Rule(kind=float, low=0, words=("auto",), extra=math.sqrt)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (FRACTION, 0),
        (FRACTION, 1),
        (FRACTION, 0.5),
        (RATE, 1e-300),
        (RATE, 100),
        (MOMENTUM, 0.0),
        (MOMENTUM, math.nextafter(1, 0)),
        (COUNT, 2),
        (COUNT, 10**18),
        (ANY, -1e300),
        (SWITCH, True),
        (SWITCH, False),
        (WORD, ""),
        (CHOICE, "plain"),
        (LIST, []),
        (LIST, [0.5, 0.25]),
        (LIST, (0.5,)),
        (OPTIONAL, None),
        (OPTIONAL, 9),
        (OR_AUTO, "auto"),
        (OR_AUTO, 0.5),
    ],
)
def test_a_value_in_range_is_allowed(rule, value):
    rule.check("field", value)


@pytest.mark.parametrize(
    ("rule", "value", "sentence"),
    [
        (FRACTION, 1.01, "must be a number in [0, 1], but got 1.01."),
        (FRACTION, -0.5, "must be a number in [0, 1], but got -0.5."),
        (FRACTION, "0.5", "must be a number in [0, 1], but got the string '0.5'."),
        (FRACTION, None, "must be a number in [0, 1], but got None."),
        (FRACTION, [0.5], "must be a number in [0, 1], but got [0.5]."),
        (FRACTION, math.nan, "must be a number in [0, 1], but got nan."),
        (RATE, 0, "must be a number in (0, 100], but got 0."),
        (MOMENTUM, 1, "must be a number in [0, 1), but got 1."),
        (COUNT, 1, "must be an integer in [2, inf), but got 1."),
        (COUNT, 2.0, "must be an integer in [2, inf), but got 2.0."),
        (ANY, math.inf, "must be a number, but got inf."),
        (ANY, -math.inf, "must be a number, but got -inf."),
        (ANY, 10**400, "must be a number, but got an integer of about 1e400."),
        (SWITCH, 1, "must be true or false, but got 1."),
        (SWITCH, "on", "must be true or false, but got the string 'on'."),
        (WORD, 5, "must be a string, but got 5."),
        (CHOICE, "Plain", "must be one of plain, residual, but got the string 'Plain'"),
        (CHOICE, True, "must be one of plain, residual, but got True."),
        (LIST, 0.5, "must be a list of numbers in (0, 1), but got 0.5."),
        (LIST, "0.5", "must be a list of numbers in (0, 1), but got the string '0.5'."),
        (LIST, None, "must be a list of numbers in (0, 1), but got None."),
        (LIST, [0.5, 1.0], "must be a list of numbers in (0, 1), but got [0.5, 1.0]."),
        (LIST, [[0.5]], "must be a list of numbers in (0, 1), but got [[0.5]]."),
        (OPTIONAL, 1, "must be an integer in [2, 9] or null, but got 1."),
    ],
)
def test_another_value_is_refused_with_what_must_hold(rule, value, sentence):
    with pytest.raises(ConfigError) as caught:
        rule.check("section.field", value)
    assert str(caught.value).startswith(f"`section.field` {sentence}")
    assert caught.value.field == "section.field"


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_no_number(kind, value):
    with pytest.raises(ConfigError, match=f"`x` must be an? .* but got {value}"):
        Rule(kind=kind, low=0, high=1).check("x", value)
    with pytest.raises(ConfigError, match=rf"but got \[{value}\]"):
        Rule(kind=kind, is_list=True).check("x", [value])


def test_an_extra_check_speaks_with_the_dotted_name():
    def refuse_odd(value):
        if value % 2:
            raise ValueError(f"`depth` must be even, but got {value}. Add 1.")

    rule = Rule(kind=int, extra=refuse_odd)
    rule.check("model.depth", 4)
    with pytest.raises(ConfigError) as caught:
        rule.check("model.depth", 5)
    assert str(caught.value) == "`model.depth` must be even, but got 5. Add 1."
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_extra_check_sees_no_value_of_another_kind():
    def fail(value):
        raise AssertionError(value)

    rule = Rule(kind=int, high=3, optional=True, extra=fail)
    rule.check("x", None)
    with pytest.raises(ConfigError, match=r"must be an integer in \(-inf, 3\] or null"):
        rule.check("x", 4)


def test_normalizing_makes_one_form_of_equal_values():
    assert [type(item) for item in LIST.normalize([1, 0.5])] == [float, float]
    assert LIST.normalize([0.5]) == (0.5,)
    assert type(FRACTION.normalize(1)) is float
    assert type(COUNT.normalize(3)) is int
    assert OPTIONAL.normalize(None) is None


def test_show_names_strings_and_cuts_long_values():
    assert show("1") == "the string '1'"
    assert show(1) == "1"
    assert show(None) == "None"
    assert show(-(10**40)) == "an integer of about 1e40"
    assert show(10**30) == "1" + "0" * 30
    long = show("x" * 1000)
    assert long == "the string '" + "x" * 56 + "..."
    assert len(show(list(range(1000)))) == 60


@dataclass(frozen=True, kw_only=True)
class Section:
    rates: tuple[float, ...] = setting((0.5,), LIST)
    count: int | None = setting(None, OPTIONAL)
    free: object = None

    def __post_init__(self):
        check_fields(self)


def test_a_setting_carries_its_default_and_its_rule():
    fields = {field.name: field for field in dataclasses.fields(Section)}
    assert fields["rates"].metadata[RULE] is LIST
    assert fields["count"].default is None
    assert RULE not in fields["free"].metadata


def test_fields_are_checked_and_normalized_even_in_a_frozen_section():
    assert Section(rates=[0.25], count=3, free=[1]) == Section(
        rates=(0.25,), count=3, free=[1]
    )
    with pytest.raises(ConfigError, match=r"`count` must be .* but got 10\.") as caught:
        Section(count=10)
    assert caught.value.field == "count"


@dataclass(frozen=True, kw_only=True)
class Ruled:
    rates: tuple[float, ...] = setting((0.5,), LIST)
    count: int | None = setting(None, OPTIONAL)

    def __post_init__(self):
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class Tree:
    section: Ruled = dataclasses.field(
        default_factory=lambda: Ruled(rates=[0.1], count=5)
    )
    size: int = setting(2, COUNT)

    def __post_init__(self):
        check_fields(self)


def test_a_tree_of_sections_has_dotted_names():
    assert dict(rules(Tree)) == {
        "section.rates": LIST,
        "section.count": OPTIONAL,
        "size": COUNT,
    }
    assert list(leaves(Tree())) == [
        ("section.rates", [0.1]),
        ("section.count", 5),
        ("size", 2),
    ]


def test_a_tree_is_built_from_dotted_names_over_its_owners_defaults():
    assert build(Tree, {}) == Tree()
    assert build(Tree, {"section.count": 7}) == Tree(
        section=Ruled(rates=(0.1,), count=7)
    )
    assert build(Tree, dict(leaves(Tree(size=9)))) == Tree(size=9)
    with pytest.raises(ConfigError, match=r"^`section\.count` must be .* but got 1\."):
        build(Tree, {"section.count": 1})
