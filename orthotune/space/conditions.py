"""Conditions under which a parameter exists: what other fields must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """Any of several values.

    Args:
        one_of: The values.
    """

    one_of: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Between:
    """Any number within bounds, which are included.

    Args:
        low: The smallest; None for no bound.
        high: The largest; None for no bound.
    """

    low: float | None = None
    high: float | None = None


Condition = Mapping[str, Any]
"""What fields must be, by dotted name, for a parameter to exist: a value, `OneOf` or
`Between`."""


def holds(wanted: Any, value: Any) -> bool:  # noqa: ANN401 - of any field
    """Whether a value is what a condition wants.

    Args:
        wanted: A value, `OneOf` or `Between`.
        value: That of the field.

    Example:
        >>> holds(Between(low=56), 110), holds(OneOf(one_of=("l2", "none")), "l2")
        (True, True)
        >>> holds(Between(low=56), None), holds("l2", "none")
        (False, False)
    """
    if isinstance(wanted, OneOf):
        return any(holds(one, value) for one in wanted.one_of)
    if isinstance(wanted, Between):
        return (
            isinstance(value, (int, float))
            and (wanted.low is None or wanted.low <= value)
            and (wanted.high is None or value <= wanted.high)
        )
    return value == wanted


def condition_text(condition: Condition) -> str:
    """A condition in words; nothing for none.

    Example:
        >>> condition_text({"kind": OneOf(one_of=("l2", "none")), "depth": 8})
        'kind = l2 or none and depth = 8'
        >>> condition_text({"depth": Between(low=8, high=44)})
        '8 <= depth <= 44'
    """
    return " and ".join(_words(name, wanted) for name, wanted in condition.items())


def _words(name: str, wanted: object) -> str:
    match wanted:
        case OneOf(one_of=values):
            return f"{name} = {' or '.join(map(str, values))}"
        case Between(low=None, high=high):
            return f"{name} <= {high:g}"
        case Between(low=low, high=None):
            return f"{name} >= {low:g}"
        case Between(low=low, high=high):
            return f"{low:g} <= {name} <= {high:g}"
    return f"{name} = {wanted}"
