"""A study as its file says it: read, checked to the last value, and nothing started.

Every error is one sentence with file and line, the key, the value, and what is allowed.
Nothing heavy is imported here: a bad file is refused at once.
"""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orthotune.config.changes import CHANGEABLE
from orthotune.config.metrics import ACCURACY, ACCURACY_NOTE
from orthotune.config.nested import flattened, no_value, unnested
from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.console import note
from orthotune.errors import ConfigError, SearchSpaceError, quoted
from orthotune.record.study_definition import Study
from orthotune.schema.fields import build, rules
from orthotune.schema.hints import nearest
from orthotune.schema.rules import Rule, assigned, show
from orthotune.schema.yaml_file import IN_MEMORY, YamlFile, mapping_file
from orthotune.space.conditions import holds
from orthotune.space.parameters import IntParameter, Parameter
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import RENAMED, SMALLEST_POPULATION, StudySettings
from orthotune.space.space_reader import SpaceReader, is_parameter
from orthotune.study.constraints_file import ConstraintsReader

MAX_CORNERS = 4096
MAX_GRID = 2000
"""Trials of a grid, each of which is checked."""

SETTING_RULES: dict[str, Rule] = dict(rules(StudySettings))
SECTIONS = ("search", "resources")
TOP_LEVEL = ("name", "metric", "mode", *SECTIONS, "fixed", "space", "constraints")


def read_study(
    source: str | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Study:
    """Read and check a study file.

    Args:
        source: The YAML file, or what it holds (`mapping_file`).
        overrides: Values by key of the file (`search.num_trials`, `name`) or by trial
            field; a field is fixed and leaves the space. In sections too.

    Raises:
        FileError: If the file is not YAML, or not a mapping.
        SearchSpaceError: If anything in it, or in `overrides`, is not allowed.
    """
    file = unnested(
        mapping_file(source),
        dotted=(*SECTIONS, "fixed", "space"),
        places={
            ("search",): no_value,
            ("fixed",): no_value,
            ("space",): is_parameter,
        },
    )
    try:
        flat = flattened(overrides or {})
    except ConfigError as err:
        raise SearchSpaceError(f"--set: {err}") from err
    flat = {RENAMED.get(name, name): value for name, value in flat.items()}
    study = _Reader(_renamed(file), flat).read()
    if ACCURACY in (flat.get("metric", file.data.get("metric")) or ()):
        note(ACCURACY_NOTE)
    return study


def _renamed(file: YamlFile) -> YamlFile:
    """A file with the names that its settings have now, on their lines."""
    data, lines = dict(file.data), dict(file.lines)
    for before, now in RENAMED.items():
        (key, old), (_, new) = before.split(".", 1), now.split(".", 1)
        section = data.get(key)
        if isinstance(section, dict) and old in section and new not in section:
            data[key] = {new if n == old else n: value for n, value in section.items()}
            if (key, old) in lines:
                lines[key, new] = lines[key, old]
    return replace(file, data=data, lines=lines)


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
        parameters = [one for one in parameters if self._is_left(one)]
        for parameter in parameters:
            self._check_not_fixed(parameter, fixed)
        if not parameters:
            raise self._error(
                ("space",),
                "must hold at least one parameter, but is empty. "
                "To train one configuration: python -m orthotune.train",
            )
        ordered = _possible(self._in_order(parameters, fixed), fixed)
        space = self._constrained(
            SearchSpace(parameters=ordered, fixed=fixed), settings
        )
        study = Study(path=self._file.path, settings=settings, space=space)
        if settings.search.is_population:
            self._check_population(study)
        if settings.search.searcher == "grid":
            return self._grid(study)
        rng = random.Random(0)
        samples = (study.space.draw(rng) for _ in range(256))
        self._check_values(study, (*study.space.corners(MAX_CORNERS), *samples))
        return study

    def _is_left(self, parameter: Parameter) -> bool:
        """Whether a parameter is still to vary, after what is set for one run."""
        is_set = [name in self._overrides for name in parameter.fields]
        if any(is_set) and not all(is_set):
            name = parameter.fields[is_set.index(True)]
            others = [n for n in parameter.fields if n not in self._overrides]
            raise SearchSpaceError(
                f"--set: {quoted(name)} must be set with all that "
                f"{quoted(parameter.name)} sets, but {quoted(others[0])} is not set."
            )
        return not all(is_set)

    def _check_not_fixed(self, parameter: Parameter, fixed: Mapping[str, Any]) -> None:
        for name in parameter.fields:
            if name in fixed:
                joint = (
                    f"{quoted(name)}, which it sets, " if name != parameter.name else ""
                )
                raise self._error(
                    ("space", parameter.name),
                    f"must not have {joint}in `fixed` too. Delete one."
                    if joint
                    else "must not be both in `space` and in `fixed`. Delete one.",
                )

    def _constrained(self, space: SearchSpace, settings: StudySettings) -> SearchSpace:
        """The space with the file's constraints, which it can meet."""
        reader = ConstraintsReader(self._file, self._overrides)
        constraints = reader.read(
            space,
            settings.search.max_epochs,
            lenient=bool(self._overrides.keys() & FIELD_RULES.keys()),
        )
        space = replace(space, constraints=constraints)
        reader.check_met(space)
        return space

    def _grid(self, study: Study) -> Study:
        """The study with as many trials as there are combinations, all checked."""
        for parameter in study.space.parameters:
            if parameter.size > MAX_GRID:
                raise self._error(
                    ("space", parameter.name),
                    f"must have at most {MAX_GRID} values for the searcher grid, which "
                    "runs all of them. Give a larger `step`, or choices.",
                )
        found = study.space.combinations(MAX_GRID)
        if found is None:
            raise self._error(
                ("space",),
                f"must make at most {MAX_GRID} combinations for the searcher grid, "
                "which runs all of them. Leave some out, or use qmc.",
            )
        self._check_values(study, found)
        configs = (TrialConfig.from_dict(study.trial_fields(one)) for one in found)
        count = len({json.dumps(one.canonical(), sort_keys=True) for one in configs})
        given = self._file.data.get("search") or {}
        asked = self._overrides.get("search.num_trials", given.get("num_trials", count))
        if asked != count:
            raise self._error(
                ("search", "num_trials"),
                f"must be left out for the searcher grid, which runs all {count} "
                f"combinations, but got {asked}.",
            )
        try:
            search = replace(study.settings.search, num_trials=count)
        except ConfigError as err:
            raise self._error(("search", err.field), err.problem) from err
        return replace(study, settings=replace(study.settings, search=search))

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
        metric, mode = values.get("metric"), values.get("mode")
        metrics = metric if isinstance(metric, list) else [metric]
        if mode == "min" and ACCURACY in metrics:
            raise self._error(
                ("mode",), f"must be max for {ACCURACY}, but got min. Delete it."
            )
        try:
            return build(StudySettings, values)
        except ConfigError as err:
            raise self._error(tuple(err.field.split(".", 1)), err.problem) from err

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
        if study.space.constraints:
            raise self._error(
                ("constraints",),
                "must be absent for pbt, which perturbs each setting by itself.",
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

    def _check_values(self, study: Study, found: Iterable[Mapping[str, Any]]) -> None:
        """Refuse spaces whose values are not allowed together, or change nothing."""
        varied, read = set(), set()
        parameters = set(study.space.fields)
        for values in found:
            try:
                config = TrialConfig.from_dict(study.trial_fields(values))
                varied |= values.keys() & parameters
                if not parameters <= read:  # which the first few values mostly settle
                    read |= config.canonical().keys()
            except ConfigError as err:
                where = "space" if err.field in parameters else "fixed"
                shown = assigned({n: v for n, v in values.items() if n in parameters})
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
    kept: list[Parameter] = []
    known: set[str] = set()
    for parameter in parameters:
        if all(
            holds(wanted, fixed[name]) if name in fixed else name in known
            for name, wanted in parameter.when.items()
        ):
            kept.append(parameter)
            known.update(parameter.fields)
    return tuple(kept)
