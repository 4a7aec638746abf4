"""The space of a search: parameters, what is fixed, and constraints between them."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orthotune.errors import SearchSpaceError
from orthotune.space.conditions import holds
from orthotune.space.constraints import Constraint
from orthotune.space.parameters import Parameter

MAX_DRAWS = 50_000
"""Draws in a row that violate a constraint, after which none is expected to hold."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Parameters in an order in which every condition looks back.

    Args:
        parameters: The parameters; conditions name earlier ones or `fixed` fields.
        fixed: Values of the fields that do not vary.
        constraints: What every configuration meets.

    Example:
        >>> from orthotune.space.parameters import CategoricalParameter, FloatParameter
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
    constraints: tuple[Constraint, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that vary, by dotted name."""
        return tuple(name for p in self.parameters for name in p.fields)

    def is_active(self, parameter: Parameter, values: Mapping[str, Any]) -> bool:
        """Whether a parameter exists, given the values of those before it.

        Not where its condition names a field whose own parameter does not exist.
        """
        if not parameter.when:
            return True
        known = {**self.fixed, **values}
        return all(
            name in known and holds(wanted, known[name])
            for name, wanted in parameter.when.items()
        )

    def allows(self, values: Mapping[str, Any]) -> bool:
        """Whether a configuration meets the constraints.

        Args:
            values: Of its parameters, by field; of those that do not exist none.
        """
        if not self.constraints:
            return True
        known = {**self.fixed, **values}
        return all(constraint.holds(known) for constraint in self.constraints)

    @property
    def size(self) -> float:
        """An upper bound on the number of configurations; infinity for a continuum."""
        return math.prod(parameter.size for parameter in self.parameters)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        """A random configuration that meets the constraints, fixed values included.

        Raises:
            SearchSpaceError: If none of very many draws meets them.
        """
        for _ in range(MAX_DRAWS):
            values = self.draw_freely(rng)
            if self.allows(values):
                return values
        raise SearchSpaceError(
            f"`constraints` must leave room for trials, but none of {MAX_DRAWS:,} "
            "draws meets them. Narrow the bounds of the parameters."
        )

    def draw_freely(self, rng: random.Random) -> dict[str, Any]:
        """A random configuration, whatever the constraints, fixed values included."""
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if self.is_active(parameter, values):
                values |= parameter.assigned(parameter.draw(rng))
        return {**self.fixed, **values}

    def example(self) -> dict[str, Any]:
        """A configuration that meets the constraints, fixed values included."""
        first = next(self.corners(1), None)
        return self.draw(random.Random(0)) if first is None else first

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
                    values |= parameter.assigned(value)
            if self.allows(values):
                yield {**self.fixed, **values}

    def combinations(self, limit: int) -> list[dict[str, Any]] | None:
        """All configurations, fixed values included; the last parameter varies first.

        Args:
            limit: The most that there may be, those included that a constraint rules
                out.

        Returns:
            None if there are more.

        Example:
            >>> from orthotune.space.parameters import IntParameter
            >>> depth = IntParameter(name="depth", low=8, high=20, step=6)
            >>> SearchSpace(parameters=(depth,)).combinations(3)
            [{'depth': 8}, {'depth': 14}, {'depth': 20}]
        """
        found: list[dict[str, Any]] = [{}]
        for parameter in self.parameters:
            longer: list[dict[str, Any]] = []
            own = parameter.values() if parameter.size <= limit else None
            for values in found:
                if not self.is_active(parameter, values):
                    longer.append(values)
                elif own is None:
                    return None
                else:
                    longer += [{**values, **parameter.assigned(one)} for one in own]
                if len(longer) > limit:
                    return None
            found = longer
        return [{**self.fixed, **values} for values in found if self.allows(values)]
