"""The parameters of a search, with inclusive bounds, some of them conditional.

Value objects that know neither Ray nor Optuna; the words are Optuna's.
"""

import dataclasses
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orthotune.space.conditions import Condition


class _OfOneField:
    """A parameter that is named as the field it sets."""

    name: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it sets, by dotted name."""
        return (self.name,)

    def assigned(self, value: Any) -> dict[str, Any]:  # noqa: ANN401 - one of its own
        """The fields that a value sets.

        Args:
            value: One of its values.
        """
        return {self.name: value}

    def value_in(self, fields: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Its value in a trial that it acts on.

        Args:
            fields: Those of the trial; its own among them.
        """
        return fields[self.name]


@dataclass(frozen=True, kw_only=True)
class FloatParameter(_OfOneField):
    """A real number in [low, high].

    Args:
        name: Dotted name of a field of `TrialConfig`.
        low: Smallest value.
        high: Largest value.
        log: Whether it is uniform on a logarithmic scale; then `low` > 0.
        step: Distance between the values, counted from `low`; None for all.
        when: The condition under which it exists.
    """

    name: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: Condition = field(default_factory=dict)

    @property
    def size(self) -> float:
        """The number of values; infinity without a step."""
        if self.step is None:
            return math.inf
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def extremes(self) -> list[Any]:
        """Smallest and largest value."""
        return [self.low, self.high]

    def values(self) -> list[Any]:
        """All values of one with a step."""
        step, count = self.step or 0.0, int(self.size)
        return [min(self.high, self.low + step * k) for k in range(count)]

    def draw(self, rng: random.Random) -> float:
        """A random value."""
        if self.log:
            logarithm = rng.uniform(math.log(self.low), math.log(self.high))
            return min(self.high, max(self.low, math.exp(logarithm)))
        if self.step is not None:
            return self.low + self.step * rng.randrange(int(self.size))
        return rng.uniform(self.low, self.high)

    def describe(self) -> str:
        """The parameter in words, for the plan."""
        scale = ", logarithmic" if self.log else ""
        step = f", step {self.step:g}" if self.step is not None else ""
        return f"number in [{self.low:g}, {self.high:g}]{scale}{step}"


@dataclass(frozen=True, kw_only=True)
class IntParameter(_OfOneField):
    """An integer in [low, high], both included.

    Args:
        name: Dotted name of a field of `TrialConfig`.
        low: Smallest value.
        high: Largest value.
        log: Whether it is uniform on a logarithmic scale; then `low` > 0.
        step: Distance between the values, counted from `low`.
        when: The condition under which it exists.
    """

    name: str
    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Condition = field(default_factory=dict)

    @property
    def size(self) -> float:
        """The number of values."""
        return (self.high - self.low) // self.step + 1

    def extremes(self) -> list[Any]:
        """Smallest and largest value."""
        return [self.low, self.low + (int(self.size) - 1) * self.step]

    def values(self) -> list[Any]:
        """All values."""
        return list(range(self.low, self.high + 1, self.step))

    def draw(self, rng: random.Random) -> int:
        """A random value."""
        if self.log:
            logarithm = rng.uniform(math.log(self.low), math.log(self.high + 1))
            return min(self.high, int(math.exp(logarithm)))
        return self.low + self.step * rng.randrange(int(self.size))

    def describe(self) -> str:
        """The parameter in words, for the plan."""
        scale = ", logarithmic" if self.log else ""
        step = f", step {self.step}" if self.step != 1 else ""
        return f"integer in [{self.low}, {self.high}]{scale}{step}"


@dataclass(frozen=True, kw_only=True)
class CategoricalParameter(_OfOneField):
    """One of a few values.

    Args:
        name: Dotted name of a field of `TrialConfig`.
        choices: The values.
        when: The condition under which it exists.
    """

    name: str
    choices: tuple[Any, ...]
    when: Condition = field(default_factory=dict)

    @property
    def size(self) -> float:
        """The number of values."""
        return len(self.choices)

    def extremes(self) -> list[Any]:
        """All values: none lies between two others."""
        return list(self.choices)

    def values(self) -> list[Any]:
        """All values."""
        return list(self.choices)

    def draw(self, rng: random.Random) -> Any:  # noqa: ANN401 - a choice
        """A random value."""
        return rng.choice(self.choices)

    def describe(self) -> str:
        """The parameter in words, for the plan."""
        return "one of " + ", ".join(map(str, self.choices))


@dataclass(frozen=True, kw_only=True)
class JointParameter(CategoricalParameter):
    """One of a few rows of values, each of which sets several fields together.

    Args:
        name: A name of its own, which is no field.
        choices: The rows: for each of the fields a value.
        when: The condition under which it exists.
        sets: The dotted names of the fields.

    Example:
        >>> size = JointParameter(
        ...     name="size", sets=("depth", "batch"), choices=((44, 64), (110, 32))
        ... )
        >>> size.assigned((110, 32)), size.value_in({"depth": 44, "batch": 64})
        ({'depth': 110, 'batch': 32}, (44, 64))
        >>> size.describe()
        'depth and batch together, one of (44, 64), (110, 32)'
    """

    sets: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it sets, by dotted name."""
        return self.sets

    def assigned(self, value: Any) -> dict[str, Any]:  # noqa: ANN401 - a row
        """As of any parameter."""
        return dict(zip(self.sets, value, strict=True))

    def value_in(self, fields: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """As of any parameter."""
        return tuple(fields[name] for name in self.sets)

    def describe(self) -> str:
        """The parameter in words, for the plan."""
        return f"{' and '.join(self.sets)} together, {super().describe()}"


Parameter = FloatParameter | IntParameter | CategoricalParameter


def field_extremes(parameter: Parameter) -> dict[str, list[Any]]:
    """The extreme values of every field that a parameter sets, by dotted name.

    Example:
        >>> size = JointParameter(
        ...     name="size", sets=("depth", "batch"), choices=((44, 64), (110, 32))
        ... )
        >>> field_extremes(size)
        {'depth': [44, 110], 'batch': [64, 32]}
    """
    rows = [parameter.assigned(value) for value in parameter.extremes()]
    return {name: [row[name] for row in rows] for name in parameter.fields}


def definition_of(parameter: Parameter) -> dict[str, Any]:
    """The definition of a parameter as plain values.

    Example:
        >>> definition_of(CategoricalParameter(name="kind", choices=("l2", "none")))
        {'type': 'CategoricalParameter', 'name': 'kind', 'choices': ('l2', 'none'), \
'when': {}}
    """
    return {"type": type(parameter).__name__, **dataclasses.asdict(parameter)}
