"""Rules of configuration fields: allowed values, and errors for others.

A rule is attached to a dataclass field and checks the values a human wrote there.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from orthotune.errors import ConfigError, cut

RULE, LATER = "rule", "later"
"""Keys of what `setting` says in a dataclass field's metadata."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The values one field may hold.

    Args:
        kind: `bool`, `int`, `float` or `str`; an int is a float, a bool is no number.
        low: Smallest value allowed.
        high: Largest value allowed.
        above: Bound that must be exceeded.
        below: Bound that must not be reached.
        choices: The values allowed, for strings.
        optional: Whether null is allowed.
        words: Strings allowed in place of such a value.
        is_list: Whether the field holds a list of such values.
        or_list: Whether it may hold one such value, or a list of them.
        extra: A further check that raises ValueError with a whole sentence.
        hint: What a refusal says at its end.
    """

    kind: type
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: Sequence[str] | None = None
    optional: bool = False
    words: tuple[str, ...] = ()
    is_list: bool = False
    or_list: bool = False
    extra: Callable[[Any], None] | None = None
    hint: str = ""

    def check(self, field: str, value: object) -> None:
        """Refuse a value this field may not hold.

        What means the same is the same: numpy's numbers and arrays, too (`plain`).

        Raises:
            ConfigError: If the value is of another type, out of range, or no choice.
        """
        value = plain(value)
        if self._stands_apart(value):
            return
        listed = isinstance(value, list) and (self.is_list or self.or_list)
        items = value if isinstance(value, list) and listed else [value]
        wrong = (self.or_list and not items) or (self.is_list and not listed)
        if wrong or not all(self._allows(item) for item in items):
            problem = f"must be {self.describe()}, but got {show(value)}. {self.hint}"
            raise ConfigError(field, problem.rstrip())
        if self.extra is not None:
            try:
                self.extra(value)
            except ValueError as err:
                name = field.rsplit(".", 1)[-1]
                sentence = str(err).removeprefix(f"`{name}` ")
                raise ConfigError(field, sentence) from err

    def normalize(self, value: Any) -> Any:  # noqa: ANN401 - the field's own type
        """A checked value in the one form the config keeps."""
        value = plain(value)
        if self._stands_apart(value):
            return value
        listed = self.is_list or isinstance(value, list)
        return tuple(map(self.kind, value)) if listed else self.kind(value)

    def _stands_apart(self, value: object) -> bool:
        """Whether a value is allowed beside those of the kind."""
        if value is None:
            return self.optional
        return isinstance(value, str) and value in self.words

    def _allows(self, value: object) -> bool:
        if self.kind in (bool, str):
            fits = isinstance(value, self.kind)
            return fits and (self.choices is None or value in self.choices)
        if isinstance(value, bool) or not isinstance(value, (int, self.kind)):
            return False
        return _is_finite(value) and self._in_range(value)

    def _in_range(self, value: Any) -> bool:  # noqa: ANN401 - a number by now
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def describe(self) -> str:
        """What is allowed, in words: `a number in (0, 100]`."""
        if self.choices is not None:
            more = ", or a list of them" if self.or_list else ""
            return f"one of {', '.join(self.choices)}{more}"
        nouns = {bool: "true or false", int: "an integer", float: "a number"}
        noun = nouns.get(self.kind, "a string")
        if self.is_list:
            noun = _LISTS[self.kind]
        others = [*self.words, *(["null"] if self.optional else [])]
        return " or ".join([noun + self._range(), *others])

    def _range(self) -> str:
        left = f"[{self.low:g}" if self.low is not None else None
        left = f"({self.above:g}" if self.above is not None else left
        right = f"{self.high:g}]" if self.high is not None else None
        right = f"{self.below:g})" if self.below is not None else right
        if left is None and right is None:
            return ""
        return f" in {left or '(-inf'}, {right or 'inf)'}"


_LISTS = {
    int: "a list of integers",
    float: "a list of numbers",
    str: "a list of strings",
}


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # pyright: ignore[reportArgumentType]
    except OverflowError:  # an integer too large for a float
        return False


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever somebody gives
    """A value as Python's own numbers, booleans, strings and lists say it.

    Tune's samplers and many search algorithms give values of numpy; others give
    fractions, ranges or tensors. What is none of these is given back as it is.

    Example:
        >>> import numpy as np
        >>> plain(np.int64(20)), plain(np.array([8, 16])), plain((0.5, np.bool_(True)))
        (20, [8, 16], [0.5, True])
    """
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, str):  # a name of an enumeration, too
        return str.__str__(value)
    listed = _listed(value)
    if listed is not value:
        return plain(listed)
    try:
        if isinstance(value, Integral):
            return int(value)
        if isinstance(value, Real):
            return float(value)
    except OverflowError:  # a fraction too large for a float
        return value
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(item) for item in value]
    return value


_PLAIN = (bool, int, float, str)


def _listed(value: Any) -> Any:  # noqa: ANN401
    """What numpy's values and tensors hold; others as they are."""
    convert = getattr(value, "tolist", None)
    try:
        listed = convert() if callable(convert) else value
    except Exception:  # a tensor without values
        return value
    # Numbers longer than Python's are what they hold.
    return value if type(listed) is type(value) else listed


def show(value: object) -> str:
    """A value as an error quotes it: strings named as such, long ones cut.

    Example:
        >>> show("fast"), show(0.5)
        ("the string 'fast'", '0.5')
    """
    if isinstance(value, int) and abs(value) > 10**30:
        return f"an integer of about 1e{int(value.bit_length() * 0.30103)}"
    try:
        text = repr(value)
    except ValueError:  # a list that holds such an integer
        text = f"a {type(value).__name__} with an integer too large to print"
    return f"the string {cut(text)}" if isinstance(value, str) else cut(text)


def assigned(values: Mapping[str, Any]) -> str:
    """Some fields and their values as an error shows them, many of them cut.

    Example:
        >>> assigned({"model.depth": 20, "optimizer.lr": 0.1})
        'model.depth=20, optimizer.lr=0.1'
    """
    shown = [f"{name}={cut(str(value))}" for name, value in values.items()]
    more = f", and {len(shown) - 3} more" if len(shown) > 4 else ""
    return ", ".join(shown if not more else shown[:3]) + more


def setting(default: Any, rule: Rule, *, later: bool = False) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A dataclass field with a default and a rule.

    Args:
        default: What it holds where nothing is said.
        rule: What it may hold.
        later: Whether there are recorded trials from before it was there: it is part
            of a trial's identity only where it is not as by default.
    """
    return dataclasses.field(default=default, metadata={RULE: rule, LATER: later})
