"""The space of a search: parameters with inclusive bounds, some of them conditional.

Value objects that know neither Ray nor Optuna; the words are Optuna's.
"""

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Condition = Mapping[str, Any]
"""Values that other parameters must have, by name, for a parameter to exist."""


@dataclass(frozen=True, kw_only=True)
class FloatParameter:
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
class IntParameter:
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
class CategoricalParameter:
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

    def draw(self, rng: random.Random) -> Any:  # noqa: ANN401 - a choice
        """A random value."""
        return rng.choice(self.choices)

    def describe(self) -> str:
        """The parameter in words, for the plan."""
        return "one of " + ", ".join(map(str, self.choices))


Parameter = FloatParameter | IntParameter | CategoricalParameter


def definition_of(parameter: Parameter) -> dict[str, Any]:
    """The definition of a parameter as plain values.

    Example:
        >>> definition_of(CategoricalParameter(name="kind", choices=("l2", "none")))
        {'type': 'CategoricalParameter', 'name': 'kind', 'choices': ('l2', 'none'), \
'when': {}}
    """
    return {"type": type(parameter).__name__, **dataclasses.asdict(parameter)}


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Parameters in an order in which every condition looks back.

    Args:
        parameters: The parameters; conditions name earlier ones or `fixed` fields.
        fixed: Values of the fields that do not vary.

    Example:
        >>> kind = CategoricalParameter(name="kind", choices=("l2", "none"))
        >>> coeff = FloatParameter(name="coeff", low=0, high=1, when={"kind": "l2"})
        >>> space = SearchSpace(parameters=(kind, coeff))
        >>> space.is_active(coeff, {"kind": "none"})
        False
        >>> space.size
        inf
    """

    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def is_active(self, parameter: Parameter, values: Mapping[str, Any]) -> bool:
        """Whether a parameter exists, given the values of those before it."""
        known = {**self.fixed, **values}
        return all(
            name in known and known[name] == value
            for name, value in parameter.when.items()
        )

    @property
    def size(self) -> float:
        """An upper bound on the number of configurations; infinity for a continuum."""
        return math.prod(parameter.size for parameter in self.parameters)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        """A random configuration, fixed values included."""
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if self.is_active(parameter, values):
                values[parameter.name] = parameter.draw(rng)
        return {**self.fixed, **values}

    def corners(self, limit: int) -> Iterator[dict[str, Any]]:
        """Configurations of extreme values, fixed values included, at most `limit`.

        What is wrong with a combination (a window that closes before it opens) shows at
        the corners of the space.
        """
        extremes = [parameter.extremes() for parameter in self.parameters]
        for combination in itertools.islice(itertools.product(*extremes), limit):
            values: dict[str, Any] = {}
            for parameter, value in zip(self.parameters, combination, strict=True):
                if self.is_active(parameter, values):
                    values[parameter.name] = value
            yield {**self.fixed, **values}
