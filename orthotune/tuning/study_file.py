"""A study as its file says it: read, checked to the last value, and nothing started.

Every error is one sentence with file and line, the key, the value, and what is allowed.
Nothing heavy is imported here: a bad file is refused at once.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orthotune.errors import ConfigError, SearchSpaceError
from orthotune.training.config import CHANGEABLE, FIELD_RULES, TrialConfig
from orthotune.training.rules import (
    Rule,
    build,
    nearest,
    rules,
    show,
)
from orthotune.training.yaml_file import read_mapping
from orthotune.tuning.file_reader import FileReader
from orthotune.tuning.search_space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
)
from orthotune.tuning.settings import SMALLEST_POPULATION, Study, StudySettings

MAX_CORNERS = 4096
MAX_LISTED_INTEGERS = 10_000


SETTING_RULES: dict[str, Rule] = dict(rules(StudySettings))
SECTIONS = ("search", "resources")
TOP_LEVEL = ("name", "metric", "mode", *SECTIONS, "fixed", "space")
ENTRY_KEYS = {
    "float": ("low", "high", "log", "step"),
    "int": ("low", "high", "log", "step"),
    "categorical": ("choices",),
}


def read_study(path: str, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read and check a study file.

    Args:
        path: The YAML file.
        overrides: Values by key of the file (`search.num_trials`, `name`) or by trial
            field; a field is fixed and leaves the space.

    Raises:
        FileError: If the file is not YAML, or not a mapping.
        SearchSpaceError: If anything in it, or in `overrides`, is not allowed.
    """
    return _Reader(read_mapping(path), dict(overrides or {})).read()


class _Reader(FileReader):
    """Reads one study file."""

    error = SearchSpaceError
    fields_of = ("fixed", "space")

    def read(self) -> Study:
        self._check_keys((), self._file.data, TOP_LEVEL)
        settings = self._settings()
        fixed = self._fixed()
        entries = self._section("space")
        for name in self._overrides:
            entries.pop(name, None)
        parameters = [self._parameter(name, entry) for name, entry in entries.items()]
        for parameter in parameters:
            if parameter.name in fixed:
                raise self._error(
                    ("space", parameter.name),
                    "must not be both in `space` and in `fixed`. Delete one.",
                )
        if not parameters:
            raise self._error(
                ("space",),
                "must hold at least one parameter, but is empty. "
                "To train one configuration: python -m orthotune.train",
            )
        ordered = _possible(self._in_order(parameters, fixed), fixed)
        space = SearchSpace(parameters=ordered, fixed=fixed)
        study = Study(path=self._file.path, settings=settings, space=space)
        self._check_combinations(study)
        if settings.search.is_population:
            self._check_population(study)
        return study

    def _settings(self) -> StudySettings:
        values: dict[str, Any] = {}
        for key in TOP_LEVEL:
            if key in SECTIONS:
                section = self._section(key)
                known = [
                    n.partition(".")[2] for n in SETTING_RULES if n.startswith(key)
                ]
                self._check_keys((key,), section, known)
                values |= {f"{key}.{leaf}": value for leaf, value in section.items()}
            elif key in SETTING_RULES and key in self._file.data:
                values[key] = self._file.data[key]
        values.setdefault("name", Path(self._file.path).stem)
        values |= {k: v for k, v in self._overrides.items() if k in SETTING_RULES}
        try:
            return build(StudySettings, values)
        except ConfigError as err:
            raise self._error(tuple(err.field.split(".")), err.problem) from err

    def _fixed(self) -> dict[str, Any]:
        section = self._section("fixed")
        for name, value in section.items():
            self._check_field(("fixed", name), value)
        for name, value in self._overrides.items():
            if name in SETTING_RULES:
                continue
            if name not in FIELD_RULES:
                hint = nearest(name, [*SETTING_RULES, *FIELD_RULES])
                raise SearchSpaceError(f"--set: `{name}` is not a key. {hint}")
            self._check_field(("fixed", name), value)
            section[name] = value
        return section

    def _check_field(self, keys: tuple[str, str], value: object) -> None:
        self._check_known(keys)
        self._check_rule(FIELD_RULES[keys[1]], keys[1], keys, value)

    def _check_settable(self, keys: tuple[str, ...], name: str) -> None:
        if name == "training.num_epochs":
            raise self._error(
                keys, "is set by `search.max_epochs`. Delete it and set that."
            )
        if name == "training.evaluate_test":
            raise self._error(
                keys,
                "is not for a search: the test split is for a configuration already "
                "chosen. Set it for python -m orthotune.train.",
            )

    def _parameter(self, name: str, entry: object) -> Parameter:
        keys = ("space", name)
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

    def _check_known(self, keys: tuple[str, str]) -> None:
        name = keys[1]
        self._check_settable(keys, name)
        if name not in FIELD_RULES:
            hint = nearest(name, list(FIELD_RULES))
            raise self._error(keys, f"is not a config field. {hint}")

    def _when(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        when = entry.get("when", {})
        if not isinstance(when, dict):
            raise self._error(
                ("space", name, "when"),
                f"must be a mapping {{key: value}}, but got {show(when)}.",
            )
        return when

    def _categorical(
        self, name: str, entry: Mapping[str, Any], when: dict[str, Any]
    ) -> CategoricalParameter:
        keys = ("space", name, "choices")
        choices = entry.get("choices")
        if not isinstance(choices, list):
            raise self._error(keys, f"must be a list of values, got {show(choices)}.")
        for choice in choices:
            self._check_value(name, keys, choice)
        if len(choices) < 2:
            raise self._error(
                keys,
                f"must hold at least two values, but got {choices}. "
                "A single value belongs under `fixed`.",
            )
        if any(choice in choices[:index] for index, choice in enumerate(choices)):
            raise self._error(keys, f"must not repeat a value, but got {choices}.")
        return CategoricalParameter(name=name, choices=tuple(choices), when=when)

    def _numeric(
        self, name: str, kind: str, entry: Mapping[str, Any], when: dict[str, Any]
    ) -> FloatParameter | IntParameter:
        keys = ("space", name)
        number = Rule(kind=int if kind == "int" else float)
        for key in ("low", "high"):
            if key not in entry:
                raise self._error(keys, f"must give `{key}` for type {kind}.")
            self._check_rule(number, name, (*keys, key), entry[key])
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
        for key in ("low", "high"):
            self._check_value(name, (*keys, key), entry[key])
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
        keys = ("space", name, "step")
        step, span = entry["step"], entry["high"] - entry["low"]
        positive = Rule(kind=number.kind, above=0, high=span)
        self._check_rule(positive, name, keys, step)
        if entry.get("log"):
            raise self._error(
                keys,
                f"must be absent when `log: true`, but got {show(step)}. "
                "A logarithmic grid is a categorical list of choices.",
            )
        if abs(span / step - round(span / step)) > 1e-6:
            raise self._error(
                keys, f"must divide `high` - `low` = {span:g}, but got {step:g}."
            )

    def _check_integers(self, parameter: IntParameter) -> None:
        """Check the values in between too: not every integer is a depth."""
        values = range(parameter.low, parameter.high + 1, parameter.step)
        for value in values[:MAX_LISTED_INTEGERS]:
            self._check_value(parameter.name, ("space", parameter.name), value)

    def _check_value(self, name: str, keys: tuple[str, ...], value: object) -> None:
        rule = FIELD_RULES[name]
        if rule.kind in (bool, str) and keys[-1] != "choices":
            raise self._error(("space", name, "type"), "must be categorical here.")
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
                names = " and ".join(f"`{parameter.name}`" for parameter in waiting)
                raise self._error(
                    ("space", waiting[0].name, "when"),
                    f"must not wait for itself, but {names} wait for each other.",
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
        keys = ("space", parameter.name, "when")
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
        if value not in allowed or isinstance(value, bool) != isinstance(
            next(iter(allowed)), bool
        ):
            raise self._error(
                keys,
                f"must be a value `{name}` can take ({other.describe()}), "
                f"but got {show(value)}.",
            )

    def _check_population(self, study: Study) -> None:
        for parameter in study.space.parameters:
            self._check_perturbed(parameter)
        if study.space.size < SMALLEST_POPULATION:
            raise self._error(
                ("space",),
                f"must hold at least {SMALLEST_POPULATION} configurations for pbt, "
                f"but holds {study.space.size:g}.",
            )
        for name in study.space.fixed:
            if name.startswith("changes."):
                raise self._error(("fixed", name), "is what pbt is to find. Delete it.")

    def _check_perturbed(self, parameter: Parameter) -> None:
        """Refuse what cannot be changed while a network is trained."""
        keys = ("space", parameter.name)
        allowed = tuple(CHANGEABLE.values())
        if parameter.name not in allowed:
            raise self._error(
                keys,
                f"cannot change in training: pbt varies only {', '.join(allowed)}. "
                "Move it to `fixed`, or use another `search.scheduler`.",
            )
        if isinstance(parameter, IntParameter):
            raise self._error(
                (*keys, "type"), "must be float or categorical for pbt, but got int."
            )
        if parameter.when:
            raise self._error(
                (*keys, "when"),
                f"must be absent for pbt, but got {show(dict(parameter.when))}.",
            )

    def _check_combinations(self, study: Study) -> None:
        """Refuse spaces in which values are allowed alone but not together."""
        rng = random.Random(0)
        samples = (study.space.draw(rng) for _ in range(256))
        for values in (*study.space.corners(MAX_CORNERS), *samples):
            try:
                TrialConfig.from_dict(study.trial_fields(values))
            except ConfigError as err:
                where = "space" if err.field in self._section("space") else "fixed"
                varying = {
                    parameter.name: values[parameter.name]
                    for parameter in study.space.parameters
                    if parameter.name in values
                }
                shown = ", ".join(f"{name}={value}" for name, value in varying.items())
                raise self._error(
                    (where, err.field), f"{err.problem} It happens for {shown}."
                ) from err


def _possible(
    parameters: tuple[Parameter, ...], fixed: Mapping[str, Any]
) -> tuple[Parameter, ...]:
    """Without those whose condition what is fixed rules out for good."""
    kept: dict[str, Parameter] = {}
    for parameter in parameters:
        if all(
            fixed[name] == value if name in fixed else name in kept
            for name, value in parameter.when.items()
        ):
            kept[parameter.name] = parameter
    return tuple(kept.values())
