"""An ablation as its file says it: read, checked to the last value, nothing started."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orthotune.config.metrics import ACCURACY, ACCURACY_NOTE, minimized
from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.console import note
from orthotune.design.ablation import (
    DATA_PLACES,
    Ablation,
    Arm,
    Levels,
    crossed,
    in_block,
    one_at_a_time,
)
from orthotune.design.blocks_file import BlocksReader
from orthotune.design.claims_file import EFFECT, ClaimsReader
from orthotune.design.field_sections import flat_file, flat_overrides
from orthotune.design.reference_file import with_references
from orthotune.design.retune_file import RETUNE_RULES, RetuneReader
from orthotune.design.seeds_file import SeedsReader
from orthotune.errors import AblationError, ConfigError, cut
from orthotune.schema.fields import build, rules
from orthotune.schema.hints import nearest
from orthotune.schema.rules import Rule, show
from orthotune.schema.yaml_file import IN_MEMORY, mapping_file
from orthotune.space.file_reader import FileReader
from orthotune.space.settings import Resources, StudySettings

REFERENCES = ("full", "baseline")
TOP_LEVEL = (
    "name",
    "question",
    "metric",
    "smallest_effect",
    *REFERENCES,
    "factors",
    "arms",
    "blocks",
    "design",
    "seeds",
    "claims",
    "retune",
    "register",
    "resources",
)
NOT_SET = (*REFERENCES, "factors", "arms", "blocks", "retune", "resources")
"""Sections that `--set` cannot replace as a whole."""
MAX_ARMS = 1024
MAX_QUESTION = 500

_SETTINGS: dict[str, Rule] = dict(rules(StudySettings))
_RESOURCES: dict[str, Rule] = dict(rules(Resources))
_TEXT = Rule(kind=str)
_MODEL = Rule(kind=str, optional=True)
_DESIGN = Rule(
    kind=str, choices=("leave_one_out", "add_one_in", "factorial", "explicit")
)


def read_ablation(
    source: str | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Ablation:
    """Read and check an ablation file.

    Args:
        source: The YAML file, or what it holds (`mapping_file`).
        overrides: Values by top-level key (`seeds`, `name`), by resource, or by trial
            field; a field is set in every arm that does not set it itself. In sections
            too.

    Raises:
        FileError: If the file is not YAML, or not a mapping.
        AblationError: If anything in it, or in `overrides`, is not allowed.
    """
    flat = flat_overrides(overrides or {}, TOP_LEVEL)
    file = with_references(mapping_file(source), REFERENCES)
    file = flat_file(file, REFERENCES)
    ablation = _Reader(file, flat).read()
    if flat.get("metric", file.data.get("metric")) == ACCURACY:
        note(ACCURACY_NOTE)
    return ablation


class _Reader(FileReader):
    """Reads one ablation file."""

    error = AblationError
    fields_of = REFERENCES

    def read(self) -> Ablation:
        self._check_keys((), self._file.data, TOP_LEVEL)
        self._check_overrides()
        design = self._value("design", _DESIGN, "leave_one_out")
        base = self._base(design)
        factors = self._factors(design)
        arms = self._arms(design, base, factors)
        smallest_effect = self._value("smallest_effect", EFFECT, 0.0)
        blocks = BlocksReader(self._file, self._overrides).read(arms, smallest_effect)
        in_blocks = [[in_block(arm, one) for arm in arms] for one in blocks] or [arms]
        num_arms = sum(map(len, in_blocks))
        seeds, whens = SeedsReader(self._file, self._overrides).read(num_arms)
        num_epochs = max(map(self._check_cells, in_blocks))
        return Ablation(
            path=self._file.path,
            name=self._name(),
            question=self._question(),
            metric=minimized(self._ruled("metric", "val_error")),
            smallest_effect=smallest_effect,
            design=design,
            factors=factors,
            arms=tuple(arms),
            seeds=seeds,
            looks=whens,
            claims=ClaimsReader(self._file, self._overrides).read(
                self._reference(),
                arms,
                min([smallest_effect, *(one.smallest_effect for one in blocks)]),
            ),
            num_epochs=num_epochs,
            resources=self._resources(),
            register=self._register(),
            retune=RetuneReader(self._file, self._overrides).read(in_blocks, seeds),
            blocks=blocks,
        )

    def _check_overrides(self) -> None:
        known = [
            *(key for key in TOP_LEVEL if key not in NOT_SET),
            *(f"resources.{name}" for name in _RESOURCES),
            *(f"retune.{name}" for name in RETUNE_RULES if "retune" in self._file.data),
            *FIELD_RULES,
        ]
        for name in self._overrides:
            if name not in known:
                raise AblationError(
                    f"--set: `{name}` is not a key. {nearest(name, known)}"
                )

    def _ruled(self, key: str, default: str) -> str:
        return self._value(key, _SETTINGS[key], default)

    def _name(self) -> str:
        path = self._file.path
        if path == IN_MEMORY and self._given("name", None) is None:
            raise self._error(("name",), "must be given where there is no file.")
        return self._ruled("name", Path(path).stem)

    def _question(self) -> str:
        text = self._value("question", _TEXT, "")
        if not text.strip():
            raise self._error(
                ("question",),
                "must say what the ablation is to settle, in a sentence, but is empty.",
            )
        if len(text) > MAX_QUESTION:
            raise self._error(
                ("question",),
                f"must be at most {MAX_QUESTION} characters long, but has {len(text)}.",
            )
        return " ".join(text.split())

    def _register(self) -> str | None:
        name = self._value("register", _MODEL, None)
        if name is not None and not re.fullmatch(r"[A-Za-z0-9][\w .+-]{0,199}", name):
            raise self._error(
                ("register",),
                "must be 1 to 200 letters, digits, spaces, dots, dashes, plus signs or "
                f"underscores, but got {show(name)}. It names a registered model.",
            )
        return name

    def _base(self, design: str) -> Arm:
        """The reference's configuration: under `full`, or under `baseline`."""
        wanted = {"leave_one_out": "full", "add_one_in": "baseline"}.get(design)
        given = [key for key in REFERENCES if key in self._file.data]
        if len(given) != 1 or wanted not in (None, given[0]):
            raise self._error(
                (wanted or "full",),
                f"must hold the reference's configuration for the design {design}, but "
                f"the file has {' and '.join(f'`{key}`' for key in given) or 'neither'}"
                ". leave_one_out departs from `full`, add_one_in from `baseline`, the "
                "other designs from one of them.",
            )
        section = self._section(given[0])
        section |= {k: v for k, v in self._overrides.items() if k in FIELD_RULES}
        self._check_fields((given[0],), section)
        return Arm(name=given[0], fields=section)

    def _check_fields(self, keys: tuple[str, ...], fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            here = (*keys, name)
            if name not in FIELD_RULES:
                raise self._error(
                    here, f"is not a config field. {nearest(name, list(FIELD_RULES))}"
                )
            if name == "seed":
                raise self._error(here, "is set by `seeds`. Delete it.")
            if name in DATA_PLACES and keys[0] not in REFERENCES:
                raise self._error(
                    here,
                    "must be the same in all arms, which are compared on the same "
                    f"data. Set it under `{self._reference()}`.",
                )
            if name == "training.num_epochs" and keys[0] not in REFERENCES:
                raise self._error(
                    here,
                    "must be the same in all arms, which are compared after equal "
                    f"training. Set it under `{self._reference()}`.",
                )
            self._check_rule(FIELD_RULES[name], name, here, value)

    def _reference(self) -> str:
        return next((key for key in REFERENCES if key in self._file.data), "full")

    def _factors(self, design: str) -> dict[str, Levels]:
        section = self._section("factors")
        if design == "explicit":
            if section:
                raise self._error(
                    ("factors",), "must be absent for the design explicit. Use `arms`."
                )
            return {}
        if not section:
            raise self._error(
                ("factors",),
                f"must hold at least one factor for the design {design}, but is empty.",
            )
        factors = {name: self._levels(name, entry) for name, entry in section.items()}
        sizes = [len(levels) for levels in factors.values()]
        if design == "factorial":
            self._check_num_arms(("factors",), math.prod(sizes))
            self._check_apart(factors)
        self._check_num_arms(("factors",), 1 + sum(sizes) - len(sizes))
        return factors

    def _check_num_arms(self, keys: tuple[str, ...], num_arms: int) -> None:
        if num_arms > MAX_ARMS:
            raise self._error(
                keys, f"must make at most {MAX_ARMS} arms, but make {show(num_arms)}."
            )

    def _check_apart(self, factors: Mapping[str, Levels]) -> None:
        """Refuse crossed factors of which one would undo the other."""
        owners: dict[str, str] = {}
        for factor, levels in factors.items():
            for field in sorted({name for level in levels.values() for name in level}):
                if owners.setdefault(field, factor) != factor:
                    raise self._error(
                        ("factors", factor),
                        f"must not set `{field}` in the design factorial, as the "
                        f"factor {owners[field]} does. Give it to one of them.",
                    )

    def _levels(self, factor: str, entry: object) -> Levels:
        self._check_label(("factors", factor), factor)
        levels = self._mapping(("factors", factor), entry)
        if len(levels) < 2:
            raise self._error(
                ("factors", factor),
                f"must have at least two levels, but has {len(levels)}. What does not "
                f"vary belongs under `{self._reference()}`.",
            )
        for level, fields in levels.items():
            keys = ("factors", factor, level)
            self._check_label(keys, level)
            levels[level] = self._mapping(keys, {} if fields is None else fields)
            self._check_fields(keys, levels[level])
        return levels

    def _check_label(self, keys: tuple[str, ...], label: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}", label):
            raise self._error(
                keys,
                "must be named by 1 to 40 letters, digits, spaces, dots, dashes, plus "
                "signs or underscores: it stands in tables and figures.",
            )

    def _arms(self, design: str, base: Arm, factors: Mapping[str, Levels]) -> list[Arm]:
        if design == "explicit":
            return [base, *self._explicit(base)]
        if "arms" in self._file.data:
            raise self._error(
                ("arms",), f"must be absent for the design {design}. Use `factors`."
            )
        # The reference is at every factor's first level, whatever its section says.
        fields = dict(base.fields)
        for factor, levels in factors.items():
            level, own = next(iter(levels.items()))
            self._check_agrees(fields, own, ("factors", factor, level))
            fields |= own
        reference = Arm(name=base.name, fields=fields)
        expand = crossed if design == "factorial" else one_at_a_time
        return expand(reference, factors)

    def _check_agrees(
        self, fields: Mapping[str, Any], own: Mapping[str, Any], keys: tuple[str, ...]
    ) -> None:
        for name, value in own.items():
            if name in fields and fields[name] != value:
                raise self._error(
                    (*keys, name),
                    f"must be as in the reference, {show(fields[name])}, but is "
                    f"{show(value)}: the first level of a factor is the reference's. "
                    "Change one, or the order of the levels.",
                )

    def _explicit(self, base: Arm) -> list[Arm]:
        section = self._section("arms")
        if not section:
            raise self._error(
                ("arms",),
                "must hold at least one arm for the design explicit, but is empty.",
            )
        self._check_num_arms(("arms",), 1 + len(section))
        arms = []
        for name, entry in section.items():
            keys = ("arms", name)
            self._check_label(keys, name)
            if name in REFERENCES:
                raise self._error(keys, "is the name of a reference. Choose another.")
            fields = self._mapping(keys, {} if entry is None else entry)
            self._check_fields(keys, fields)
            arms.append(Arm(name=name, fields={**base.fields, **fields}))
        return arms

    def _check_cells(self, arms: list[Arm]) -> int:
        """Refuse arms whose values do not go together; the epochs of all."""
        config = TrialConfig()
        for arm in arms:
            try:
                config = TrialConfig.from_dict(arm.fields)
            except ConfigError as err:
                raise self._error(
                    (self._reference(), err.field),
                    f"{err.problem} It happens in the arm {cut(arm.title)}.",
                ) from err
        return config.training.num_epochs

    def _resources(self) -> Resources:
        section = self._section("resources")
        self._check_keys(("resources",), section, list(_RESOURCES))
        section |= {
            name.removeprefix("resources."): value
            for name, value in self._overrides.items()
            if name.startswith("resources.")
        }
        try:
            return build(Resources, section)
        except ConfigError as err:
            raise self._error(("resources", err.field), err.problem) from err
