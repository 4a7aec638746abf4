"""The space of a search as a file says it, whichever file that is."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from orthotune.config.hints import nearest
from orthotune.config.rules import Rule, show
from orthotune.config.trial import FIELD_RULES
from orthotune.errors import cut
from orthotune.space.file_reader import FileReader
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)

MAX_LISTED_INTEGERS = 10_000
MAX_CHOICES = 1000
MAX_STEPS = 1_000_000
ENTRY_KEYS = {
    "float": ("low", "high", "log", "step"),
    "int": ("low", "high", "log", "step"),
    "categorical": ("choices",),
}


class SpaceReader(FileReader):
    """Reads the parameters of a space, and what their conditions wait for."""

    space_at: ClassVar[tuple[str, ...]] = ("space",)
    """Where the space is in the file."""

    def _check_settable(self, keys: tuple[str, ...], name: str) -> None:
        """Refuse a field that such a file does not set."""
        raise NotImplementedError

    def _parameter(self, name: str, entry: object) -> Parameter:
        keys = (*self.space_at, name)
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
        if kind == "categorical":
            return self._categorical(name, entry, when)
        return self._numeric(name, kind, entry, when)

    def _check_known(self, keys: tuple[str, ...]) -> None:
        name = keys[-1]
        self._check_settable(keys, name)
        if name not in FIELD_RULES:
            hint = nearest(name, list(FIELD_RULES))
            raise self._error(keys, f"is not a config field. {hint}")

    def _when(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        when = entry.get("when", {})
        if not isinstance(when, dict):
            raise self._error(
                (*self.space_at, name, "when"),
                f"must be a mapping {{key: value}}, but got {show(when)}.",
            )
        return when

    def _categorical(
        self, name: str, entry: Mapping[str, Any], when: dict[str, Any]
    ) -> CategoricalParameter:
        keys = (*self.space_at, name, "choices")
        choices = entry.get("choices")
        if not isinstance(choices, list):
            raise self._error(keys, f"must be a list of values, got {show(choices)}.")
        if len(choices) > MAX_CHOICES:
            raise self._error(
                keys,
                f"must hold at most {MAX_CHOICES} values, but holds {len(choices)}.",
            )
        for choice in choices:
            self._check_value(name, keys, choice)
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
        return CategoricalParameter(name=name, choices=tuple(choices), when=when)

    def _numeric(
        self, name: str, kind: str, entry: Mapping[str, Any], when: dict[str, Any]
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

    def _in_order(
        self, parameters: list[Parameter], fixed: Mapping[str, Any]
    ) -> tuple[Parameter, ...]:
        """The parameters, each after those its condition names."""
        by_name = {parameter.name: parameter for parameter in parameters}
        for parameter in parameters:
            for name, value in parameter.when.items():
                self._check_condition(parameter, by_name, fixed, name, value)
        ordered: dict[str, Parameter] = {}
        waiting = list(parameters)
        while waiting:
            ready = [
                parameter
                for parameter in waiting
                if all(name in ordered or name in fixed for name in parameter.when)
            ]
            if not ready:
                names = " and ".join(f"`{parameter.name}`" for parameter in waiting[:4])
                more = f" and {len(waiting) - 4} more" if len(waiting) > 4 else ""
                raise self._error(
                    (*self.space_at, waiting[0].name, "when"),
                    f"must not wait for itself, but {names}{more} wait for each other.",
                )
            ordered |= {parameter.name: parameter for parameter in ready}
            waiting = [item for item in waiting if item.name not in ordered]
        return tuple(ordered.values())

    def _check_condition(
        self,
        parameter: Parameter,
        by_name: Mapping[str, Parameter],
        fixed: Mapping[str, Any],
        name: str,
        value: object,
    ) -> None:
        keys = (*self.space_at, parameter.name, "when")
        if name in fixed:
            self._check_rule(FIELD_RULES[name], name, keys, value)
            return
        if name not in by_name:
            known = [other for other in (*by_name, *fixed) if other != parameter.name]
            raise self._error(
                keys,
                f"names `{name}`, which is neither in `space` nor in `fixed`. "
                f"{nearest(name, known)}",
            )
        other = by_name[name]
        if isinstance(other, FloatParameter):
            raise self._error(
                keys, f"must name a categorical or an int, but `{name}` is a float."
            )
        if isinstance(other, CategoricalParameter):
            allowed = other.choices
        else:
            allowed = range(other.low, other.high + 1, other.step)
        if not _is_one_of(value, allowed):
            raise self._error(
                keys,
                f"must be a value `{name}` can take ({cut(other.describe())}), "
                f"but got {show(value)}.",
            )


def _is_one_of(value: object, allowed: Sequence[Any]) -> bool:
    """Whether a condition can be met: true is no 1."""
    if isinstance(allowed, range):
        # It compares with each of its values what is no integer.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return type(value) is int and value in allowed
    return value in allowed and isinstance(value, bool) == isinstance(allowed[0], bool)
