"""The space of a search as a file says it, whichever file that is."""

import re
from collections.abc import Mapping
from typing import Any

from orthotune.config.nested import flattened
from orthotune.config.trial import FIELD_RULES
from orthotune.errors import ConfigError, quoted
from orthotune.schema.hints import nearest
from orthotune.schema.rules import Rule, show
from orthotune.space.condition_reader import ConditionReader
from orthotune.space.conditions import Condition
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    JointParameter,
    Parameter,
)

MAX_LISTED_INTEGERS = 10_000
MAX_CHOICES = 1000
MAX_STEPS = 1_000_000
ENTRY_KEYS = {
    "float": ("low", "high", "log", "step"),
    "int": ("low", "high", "log", "step"),
    "categorical": ("choices",),
    "joint": ("choices",),
}
PARAMETER_KEYS = {
    "type",
    "when",
    *(key for keys in ENTRY_KEYS.values() for key in keys),
}
"""The keys of a parameter, of whatever type."""


def is_parameter(mapping: Mapping[str, Any]) -> bool:
    """Whether a mapping in a space is a parameter, and no section of parameters.

    A section holds mappings only; a parameter has a key that says a number, a word or a
    list.

    Example:
        >>> is_parameter({"type": "float", "low": 0, "high": 1})
        True
        >>> is_parameter({"lr": {"type": "float", "low": 0, "high": 1}})
        False
    """
    return any(
        key in PARAMETER_KEYS and not isinstance(value, Mapping)
        for key, value in mapping.items()
    )


class SpaceReader(ConditionReader):
    """Reads the parameters of a space, and what their conditions wait for."""

    def _check_settable(self, keys: tuple[str, ...], name: str) -> None:
        """Refuse a field that such a file does not set."""
        raise NotImplementedError

    def _parameter(self, name: str, entry: object) -> Parameter:
        keys = (*self.space_at, name)
        is_joint = isinstance(entry, dict) and entry.get("type") == "joint"
        if not is_joint:
            self._check_known(keys)
        if not isinstance(entry, dict):
            raise self._error(
                keys,
                "must be a mapping such as {type: float, low: 0, high: 1}, "
                f"but got {show(entry)}. A single value belongs under `fixed`.",
            )
        kind = entry.get("type")
        if not isinstance(kind, str) or kind not in ENTRY_KEYS:
            raise self._error(
                (*keys, "type"),
                f"must be one of {', '.join(ENTRY_KEYS)}, but got {show(kind)}.",
            )
        self._check_keys(keys, entry, ("type", *ENTRY_KEYS[kind], "when"))
        when = self._when(name, entry)
        if kind == "joint":
            return self._joint(name, entry, when)
        if kind == "categorical":
            return self._categorical(name, entry, when)
        return self._numeric(name, kind, entry, when)

    def _check_known(self, keys: tuple[str, ...]) -> None:
        name = keys[-1]
        self._check_settable(keys, name)
        if name not in FIELD_RULES:
            hint = nearest(name, list(FIELD_RULES))
            raise self._error(keys, f"is not a config field. {hint}")

    def _categorical(
        self, name: str, entry: Mapping[str, Any], when: Condition
    ) -> CategoricalParameter:
        keys = (*self.space_at, name, "choices")
        choices = self._choices(keys, entry)
        for choice in choices:
            self._check_value(name, keys, choice)
        self._check_several(keys, choices)
        return CategoricalParameter(name=name, choices=tuple(choices), when=when)

    def _choices(self, keys: tuple[str, ...], entry: Mapping[str, Any]) -> list[Any]:
        choices = entry.get("choices")
        if not isinstance(choices, list):
            raise self._error(keys, f"must be a list of values, got {show(choices)}.")
        if len(choices) > MAX_CHOICES:
            raise self._error(
                keys,
                f"must hold at most {MAX_CHOICES} values, but holds {len(choices)}.",
            )
        return choices

    def _check_several(self, keys: tuple[str, ...], choices: list[Any]) -> None:
        if len(choices) < 2:
            raise self._error(
                keys,
                f"must hold at least two values, but got {show(choices)}. "
                "A single value belongs under `fixed`.",
            )
        if any(choice in choices[:index] for index, choice in enumerate(choices)):
            raise self._error(
                keys, f"must not repeat a value, but got {show(choices)}."
            )

    def _joint(
        self, name: str, entry: Mapping[str, Any], when: Condition
    ) -> JointParameter:
        """Values of several fields that are chosen together."""
        keys = (*self.space_at, name, "choices")
        if name in FIELD_RULES or not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", name):
            raise self._error(
                keys[:-1],
                "must be a name of its own for type joint, which sets the fields in "
                "its choices: 1 to 64 letters, digits, dots, dashes or underscores, "
                "and no config field.",
            )
        rows = [self._row(keys, choice) for choice in self._choices(keys, entry)]
        self._check_several(keys, rows)
        fields = tuple(rows[0])
        for row in rows:
            if row.keys() != rows[0].keys():
                other = sorted(row.keys() ^ rows[0].keys())[0]
                raise self._error(
                    keys,
                    f"must set the same fields in every choice, but {quoted(other)} is "
                    "not in all. Add it, or delete it.",
                )
        choices = tuple(tuple(row[field] for field in fields) for row in rows)
        return JointParameter(name=name, sets=fields, choices=choices, when=when)

    def _row(self, keys: tuple[str, ...], choice: object) -> dict[str, Any]:
        """One choice of a joint parameter: values by field."""
        if not isinstance(choice, dict) or not choice:
            raise self._error(
                keys,
                "must be mappings such as {model.depth: 44, data.batch_size: 64}, but "
                f"got {show(choice)}.",
            )
        try:
            row = flattened(choice)
        except ConfigError as err:
            raise self._error(keys, f"must be unambiguous, but {err}") from err
        for field, value in row.items():
            here = (*keys, field)
            self._check_known(here)
            self._check_rule(FIELD_RULES[field], field, here, value)
        return row

    def _numeric(
        self, name: str, kind: str, entry: Mapping[str, Any], when: Condition
    ) -> FloatParameter | IntParameter:
        keys = (*self.space_at, name)
        number = Rule(kind=int if kind == "int" else float)
        for key in ("low", "high"):
            if key not in entry:
                raise self._error(keys, f"must give `{key}` for type {kind}.")
            self._check_rule(number, name, (*keys, key), entry[key])
            self._check_value(name, (*keys, key), entry[key])
        low, high = entry["low"], entry["high"]
        log, step = entry.get("log", False), entry.get("step")
        self._check_rule(Rule(kind=bool), name, (*keys, "log"), log)
        if low >= high:
            raise self._error(
                (*keys, "high"),
                f"must be greater than `low` = {show(low)}, but got {show(high)}.",
            )
        if log and low <= 0:
            raise self._error(
                (*keys, "low"), f"must be > 0 when `log: true`, but got {show(low)}."
            )
        if step is not None:
            self._check_step(number, name, entry)
        if kind == "float":
            if FIELD_RULES[name].kind is int:
                raise self._error(
                    (*keys, "type"), "must be int or categorical, but got float."
                )
            return FloatParameter(
                name=name, low=low, high=high, log=log, step=step, when=when
            )
        parameter = IntParameter(
            name=name, low=low, high=high, log=log, step=step or 1, when=when
        )
        self._check_integers(parameter)
        return parameter

    def _check_step(self, number: Rule, name: str, entry: Mapping[str, Any]) -> None:
        keys = (*self.space_at, name, "step")
        step, span = entry["step"], entry["high"] - entry["low"]
        positive = Rule(kind=number.kind, above=0, high=span)
        self._check_rule(positive, name, keys, step)
        if entry.get("log"):
            raise self._error(
                keys,
                f"must be absent when `log: true`, but got {show(step)}. "
                "A logarithmic grid is a categorical list of choices.",
            )
        if span > MAX_STEPS * step:
            raise self._error(
                keys,
                f"must make at most {MAX_STEPS} steps of `high` - `low` = {span:g}, "
                f"but got {step:g}. Give a larger one.",
            )
        if abs(span / step - round(span / step)) > 1e-6:
            raise self._error(
                keys, f"must divide `high` - `low` = {span:g}, but got {step:g}."
            )

    def _check_integers(self, parameter: IntParameter) -> None:
        """Check the values in between too: not every integer is a depth."""
        keys = (*self.space_at, parameter.name)
        if parameter.size > MAX_STEPS + 1:
            raise self._error(
                keys,
                f"must make at most {MAX_STEPS} steps, but makes "
                f"{show(int(parameter.size) - 1)}. Give a larger `step`, or nearer "
                "bounds.",
            )
        values = range(parameter.low, parameter.high + 1, parameter.step)
        for value in values[:MAX_LISTED_INTEGERS]:
            self._check_value(parameter.name, keys, value)

    def _check_value(self, name: str, keys: tuple[str, ...], value: object) -> None:
        rule = FIELD_RULES[name]
        if rule.kind in (bool, str) and keys[-1] != "choices":
            raise self._error(
                (*self.space_at, name, "type"), "must be categorical here."
            )
        self._check_rule(rule, name, keys, value)
