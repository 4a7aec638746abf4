"""Rules of configuration fields: allowed values, and errors for others.

A rule is attached to a dataclass field and checks the values a human wrote there.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from orthotune.errors import ConfigError, cut

RULE = "rule"  # key of the rule in a dataclass field's metadata


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
        extra: A further check that raises ValueError with a whole sentence.
    """

    kind: type
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] | None = None
    optional: bool = False
    words: tuple[str, ...] = ()
    is_list: bool = False
    extra: Callable[[Any], None] | None = None

    def check(self, field: str, value: object) -> None:
        """Refuse a value this field may not hold.

        What means the same is the same: numpy's numbers and arrays, too (`plain`).

        Raises:
            ConfigError: If the value is of another type, out of range, or no choice.
        """
        value = plain(value)
        if self._stands_apart(value):
            return
        if self.is_list and not isinstance(value, list):
            raise ConfigError(
                field, f"must be {self.describe()}, but got {show(value)}."
            )
        items = value if isinstance(value, list) and self.is_list else [value]
        if not all(self._allows(item) for item in items):
            raise ConfigError(
                field, f"must be {self.describe()}, but got {show(value)}."
            )
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
        return tuple(map(self.kind, value)) if self.is_list else self.kind(value)

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
            return f"one of {', '.join(self.choices)}"
        nouns = {bool: "true or false", int: "an integer", float: "a number"}
        noun = nouns.get(self.kind, "a string")
        if self.is_list:
            noun = {int: "a list of integers", float: "a list of numbers"}[self.kind]
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


def setting(default: Any, rule: Rule) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A dataclass field with a default and a rule."""
    return dataclasses.field(default=default, metadata={RULE: rule})


def check_fields(section: object) -> None:
    """Check every field of a dataclass instance that has a rule, and normalize it.

    Lists become tuples and integers in a field of floats become floats, so that equal
    configs compare equal however they were written.

    Raises:
        ConfigError: With the field's own name, without its section's.
    """
    for name, rule in _ruled(type(section)):
        value = getattr(section, name)
        rule.check(name, value)
        object.__setattr__(section, name, rule.normalize(value))


@functools.cache
def _ruled(section: type) -> Sequence[tuple[str, Rule]]:
    """The fields of a dataclass that have a rule: a search asks a thousand times."""
    fields = dataclasses.fields(section)
    return [
        (item.name, item.metadata[RULE]) for item in fields if RULE in item.metadata
    ]


def leaves(section: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and plain value (a list for a tuple) of every field, in order."""
    for item in dataclasses.fields(section):  # pyright: ignore[reportArgumentType]
        value = getattr(section, item.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, list(value) if isinstance(value, tuple) else value


def rules(section: type, prefix: str = "") -> Iterator[tuple[str, Rule]]:
    """Dotted name and rule of every field of a dataclass of dataclasses."""
    for item in dataclasses.fields(section):
        if RULE in item.metadata:
            yield prefix + item.name, item.metadata[RULE]
        else:
            yield from rules(item.type, f"{prefix}{item.name}.")  # pyright: ignore[reportArgumentType]


def build(section: type, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """An instance of a dataclass of dataclasses from dotted names.

    Raises:
        ConfigError: If a value is not allowed, by its dotted name.
    """
    return _build(_default(section), values, "")


def _build(default: Any, values: Mapping[str, Any], prefix: str) -> Any:  # noqa: ANN401
    """A section as its owner has it by default, but for the values given.

    Its owner's defaults may be others than its own: the learning rate's schedule is
    cosine with warm-up where others are constant.
    """
    arguments = {}
    for item in dataclasses.fields(default):
        name, value = prefix + item.name, getattr(default, item.name)
        if RULE in item.metadata:
            value = values.get(name, value)
        elif any(given.startswith(f"{name}.") for given in values):
            value = _build(value, values, f"{name}.")
        arguments[item.name] = value
    try:
        return type(default)(**arguments)
    except ConfigError as err:
        raise ConfigError(prefix + err.field, err.problem) from err


@functools.cache
def _default(section: type) -> Any:  # noqa: ANN401
    """The instance of a frozen dataclass with all defaults, checked once."""
    return section()
