"""Conditions of a space as a file says them, and the order that they ask for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from orthotune.config.nested import flattened
from orthotune.config.trial import FIELD_RULES
from orthotune.errors import ConfigError, cut, quoted
from orthotune.schema.hints import nearest
from orthotune.schema.rules import Rule, show
from orthotune.space.conditions import (
    Between,
    Condition,
    OneOf,
    condition_text,
    holds,
)
from orthotune.space.file_reader import FileReader
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    field_extremes,
)

MAX_VALUES = 1000
BOUNDS = ("low", "high")
_NUMBER = Rule(kind=float)


def _is_bounds(mapping: Mapping[str, Any]) -> bool:
    return set(mapping) <= set(BOUNDS)


class ConditionReader(FileReader):
    """Reads what parameters wait for."""

    space_at: ClassVar[tuple[str, ...]] = ("space",)
    """Where the space is in the file."""

    def _when(self, name: str, entry: Mapping[str, Any]) -> Condition:
        keys = (*self.space_at, name, "when")
        when = entry.get("when", {})
        if not isinstance(when, dict):
            raise self._error(
                keys, f"must be a mapping {{key: value}}, but got {show(when)}."
            )
        try:
            flat = flattened(when, _is_bounds)
        except ConfigError as err:
            raise self._error(keys, f"must be unambiguous, but {err}") from err
        return {field: self._wanted(keys, field, want) for field, want in flat.items()}

    def _wanted(self, keys: tuple[str, ...], field: str, want: object) -> object:
        """A value, several values, or bounds.

        A list is several values, but for a field that holds a list: there a list of
        lists is.
        """
        if isinstance(want, dict):
            return self._between(keys, field, want)
        rule = FIELD_RULES.get(field)
        if not isinstance(want, list):
            return want
        holds_lists = rule is not None and rule.is_list
        if holds_lists and not (want and all(isinstance(one, list) for one in want)):
            return want
        if not 0 < len(want) <= MAX_VALUES:
            raise self._error(
                keys,
                f"must give 1 to {MAX_VALUES} values of {quoted(field)}, but got "
                f"{len(want)}.",
            )
        return want[0] if len(want) == 1 else OneOf(one_of=tuple(want))

    def _between(
        self, keys: tuple[str, ...], field: str, want: dict[str, Any]
    ) -> Between:
        bounds = {key: value for key, value in want.items() if value is not None}
        if not bounds:
            raise self._error(
                keys,
                f"must give a value of {quoted(field)}, several, or bounds "
                f"{{low: ..., high: ...}}, but got {show(want)}.",
            )
        for value in bounds.values():
            self._check_rule(_NUMBER, "when", keys, value)
        found = Between(**bounds)
        if len(bounds) == 2 and bounds["low"] > bounds["high"]:
            raise self._error(
                keys,
                f"must give bounds of {quoted(field)} in their order, but got "
                f"{show(want)}.",
            )
        return found

    def _in_order(
        self, parameters: list[Parameter], fixed: Mapping[str, Any]
    ) -> tuple[Parameter, ...]:
        """The parameters, each after those its condition names."""
        owners = self._owners(parameters)
        for parameter in parameters:
            for name, wanted in parameter.when.items():
                self._check_condition(parameter, owners, fixed, name, wanted)
        known = set(fixed)
        ordered: list[Parameter] = []
        waiting = list(parameters)
        while waiting:
            ready = [item for item in waiting if known.issuperset(item.when)]
            if not ready:
                names = " and ".join(
                    quoted(parameter.name) for parameter in waiting[:4]
                )
                more = f" and {len(waiting) - 4} more" if len(waiting) > 4 else ""
                raise self._error(
                    (*self.space_at, waiting[0].name, "when"),
                    f"must not wait for itself, but {names}{more} wait for each other.",
                )
            ordered += ready
            known.update(name for item in ready for name in item.fields)
            waiting = [item for item in waiting if not known.issuperset(item.fields)]
        return tuple(ordered)

    def _owners(self, parameters: Sequence[Parameter]) -> dict[str, Parameter]:
        """The parameter that sets each field; there must be only one."""
        owners: dict[str, Parameter] = {}
        for parameter in parameters:
            for name in parameter.fields:
                other = owners.setdefault(name, parameter)
                if other is not parameter:
                    raise self._error(
                        (*self.space_at, parameter.name),
                        f"must not set {quoted(name)}, which {quoted(other.name)} sets "
                        "too. Delete one.",
                    )
        return owners

    def _check_condition(
        self,
        parameter: Parameter,
        owners: Mapping[str, Parameter],
        fixed: Mapping[str, Any],
        name: str,
        wanted: object,
    ) -> None:
        keys = (*self.space_at, parameter.name, "when")
        if name not in fixed and name not in owners:
            known = [one for one in (*owners, *fixed) if one not in parameter.fields]
            raise self._error(
                keys,
                f"names {quoted(name)}, which is neither in `space` nor in `fixed`. "
                f"{nearest(name, known)}",
            )
        if isinstance(wanted, Between):
            self._check_bounds(keys, name, wanted, owners.get(name))
            return
        for value in wanted.one_of if isinstance(wanted, OneOf) else (wanted,):
            if name in fixed:
                self._check_rule(FIELD_RULES[name], name, keys, value)
            else:
                self._check_can_be(keys, name, value, owners[name])

    def _check_can_be(
        self, keys: tuple[str, ...], name: str, value: object, other: Parameter
    ) -> None:
        if isinstance(other, FloatParameter):
            raise self._error(
                keys,
                f"must give bounds of {quoted(name)}, such as {{low: {other.low:g}}}, "
                f"because that is a float, but got {show(value)}.",
            )
        if isinstance(other, CategoricalParameter):
            allowed: Sequence[Any] = field_extremes(other)[name]
        else:
            allowed = range(other.low, other.high + 1, other.step)
        if not _is_one_of(value, allowed):
            raise self._error(
                keys,
                f"must be a value {quoted(name)} can take ({cut(other.describe())}), "
                f"but got {show(value)}.",
            )

    def _check_bounds(
        self,
        keys: tuple[str, ...],
        name: str,
        wanted: Between,
        other: Parameter | None,
    ) -> None:
        rule = FIELD_RULES[name]
        if rule.is_list or rule.kind not in (int, float):
            raise self._error(
                keys,
                f"must give values of {quoted(name)}, which has no bounds, but got "
                f"{condition_text({name: wanted})}.",
            )
        if other is not None and not _can_be_between(other, name, wanted):
            raise self._error(
                keys,
                f"must leave values {quoted(name)} can take "
                f"({cut(other.describe())}), but got {condition_text({name: wanted})}.",
            )


def _can_be_between(parameter: Parameter, name: str, wanted: Between) -> bool:
    if isinstance(parameter, CategoricalParameter):
        return any(holds(wanted, one) for one in field_extremes(parameter)[name])
    low, high = parameter.extremes()
    first = low
    if wanted.low is not None and wanted.low > low:
        first = wanted.low
        if isinstance(parameter, IntParameter):
            steps = -((low - math.ceil(wanted.low)) // parameter.step)
            first = low + steps * parameter.step
    return first <= high and holds(Between(high=wanted.high), first)


def _is_one_of(value: object, allowed: Sequence[Any]) -> bool:
    """Whether a condition can be met: true is no 1."""
    if isinstance(allowed, range):
        # It compares with each of its values what is no integer.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return type(value) is int and value in allowed
    return any(one == value and _is_bool(one) == _is_bool(value) for one in allowed)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)
