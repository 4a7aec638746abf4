"""A study as its file says it: read, checked to the last value, and nothing started.

Every error is one sentence with file and line, the key, the value, and what is allowed.
Nothing heavy is imported here: a bad file is refused at once.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orthotune.config.changes import CHANGEABLE
from orthotune.config.fields import build, rules
from orthotune.config.hints import nearest
from orthotune.config.rules import Rule, assigned, show
from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.config.yaml_file import IN_MEMORY, mapping_file
from orthotune.errors import ConfigError, SearchSpaceError
from orthotune.record.study_definition import Study
from orthotune.space.parameters import IntParameter, Parameter, SearchSpace
from orthotune.space.settings import SMALLEST_POPULATION, StudySettings
from orthotune.space.space_reader import SpaceReader

MAX_CORNERS = 4096

SETTING_RULES: dict[str, Rule] = dict(rules(StudySettings))
SECTIONS = ("search", "resources")
TOP_LEVEL = ("name", "metric", "mode", *SECTIONS, "fixed", "space")


def read_study(
    source: str | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Study:
    """Read and check a study file.

    Args:
        source: The YAML file, or what it holds (`mapping_file`).
        overrides: Values by key of the file (`search.num_trials`, `name`) or by trial
            field; a field is fixed and leaves the space.

    Raises:
        FileError: If the file is not YAML, or not a mapping.
        SearchSpaceError: If anything in it, or in `overrides`, is not allowed.
    """
    return _Reader(mapping_file(source), dict(overrides or {})).read()


class _Reader(SpaceReader):
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
        if settings.search.is_population:
            self._check_population(study)
        self._check_combinations(study)
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
        if self._file.path != IN_MEMORY:
            values.setdefault("name", Path(self._file.path).stem)
        values |= {k: v for k, v in self._overrides.items() if k in SETTING_RULES}
        if "name" not in values:
            raise self._error(("name",), "must be given where there is no file.")
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
        """Refuse spaces whose values are not allowed together, or change nothing."""
        rng = random.Random(0)
        samples = (study.space.draw(rng) for _ in range(256))
        varied, read = set(), set()
        parameters = {parameter.name for parameter in study.space.parameters}
        for values in (*study.space.corners(MAX_CORNERS), *samples):
            try:
                config = TrialConfig.from_dict(study.trial_fields(values))
                varied |= values.keys() & parameters
                if not parameters <= read:  # which the first few values mostly settle
                    read |= config.canonical().keys()
            except ConfigError as err:
                where = "space" if err.field in self._section("space") else "fixed"
                varying = {
                    parameter.name: values[parameter.name]
                    for parameter in study.space.parameters
                    if parameter.name in values
                }
                shown = assigned(varying)
                raise self._error(
                    (where, err.field), f"{err.problem} It happens for {shown}."
                ) from err
        # A field that --set has fixed may switch off what the file varies.
        fixed_now = self._overrides.keys() & FIELD_RULES.keys()
        for name in sorted(varied - read if not fixed_now else ()):
            raise self._error(
                ("space", name),
                "changes nothing here: no trial of this space reads it. Delete it, or "
                "set under `fixed` what makes trials read it.",
            )


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
