"""The configuration of one trial: every field, its meaning, unit, range and source.

A config is written as a flat mapping of dotted names (`model.depth: 44`), in files, on
the command line and in Tune's param space alike. This module imports no torch: a file
is checked before anything heavy loads.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orthotune.config.changes import CHANGEABLE, ChangesConfig
from orthotune.config.sections import (
    DataConfig,
    InitConfig,
    ModelConfig,
    ModulationConfig,
    OptimizerConfig,
    RegularizerConfig,
    TrainingConfig,
)
from orthotune.config.sources import digest_of
from orthotune.errors import ConfigError, PluginError
from orthotune.schema.fields import (
    build,
    check_fields,
    later_fields,
    leaves,
    rules,
    sections,
)
from orthotune.schema.hints import nearest
from orthotune.schema.kinds import KINDS
from orthotune.schema.registry import Ingredient, ingredient, ingredients, version
from orthotune.schema.rules import Rule, setting

NO_RESULT = (
    "data.root",
    "data.download",
    "data.memory_share",
    "data.workers",
    "training.evaluate_test",
)
"""Fields on which no result depends."""


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """All a trial's result depends on, and where its data lie.

    Raises:
        ConfigError: If a value is not allowed, alone or with another.

    Example:
        >>> config = TrialConfig.from_dict({"model.depth": 20, "optimizer.lr": 0.02})
        >>> config.model.depth, config.optimizer.schedule.kind
        (20, 'cosine')
        >>> TrialConfig.from_dict(config.to_dict()) == config
        True
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    init: InitConfig = field(default_factory=InitConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    modulation: ModulationConfig = field(default_factory=ModulationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    changes: ChangesConfig = field(default_factory=ChangesConfig)

    seed: int = setting(0, Rule(kind=int, low=0, high=2**63 - 1))
    """Seed of the trial's random streams: initial weights, order of the images, and
    augmentation, each its own. In [0, 2^63), default 0."""

    def __post_init__(self) -> None:
        check_fields(self)
        modulation = self.modulation
        refused = modulation.enabled and not modulation.allow_branches
        if refused and self.model.family == "residual":
            raise ConfigError(
                "modulation.enabled",
                f"must be false for `model.family` {self.model.family}, but got True. "
                "Modulation is exact only without shortcuts; "
                "`modulation.allow_branches` restricts it to what lies between them.",
            )
        if self.optimizer.nesterov and self.optimizer.momentum == 0:
            raise ConfigError(
                "optimizer.nesterov",
                "must be false when `optimizer.momentum` is 0, but got True.",
            )
        widths = list(self.model.widths)
        if self.model.family == "residual" and widths != sorted(widths):
            raise ConfigError(
                "model.widths",
                f"must not decrease in a residual network, but got {widths}.",
            )
        if self.data.batch_size < 2 * self.data.num_micro_batches:
            raise ConfigError(
                "data.num_micro_batches",
                f"must leave two images a part of `data.batch_size` = "
                f"{self.data.batch_size}, but got {self.data.num_micro_batches}.",
            )
        num_train = self.data.num_train
        if num_train is not None and num_train < self.data.batch_size:
            raise ConfigError(
                "data.num_train",
                f"must be at least `data.batch_size` = {self.data.batch_size}, "
                f"but got {num_train}.",
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrialConfig":
        """A config from a flat mapping of dotted names; the rest are defaults.

        Raises:
            ConfigError: If a name is unknown or a value not allowed, with its name.
        """
        for name, value in values.items():
            check_field(name, value)
        return build(cls, values)

    def to_dict(self) -> dict[str, Any]:
        """Every field by dotted name, as plain values (lists for tuples)."""
        return dict(leaves(self))

    def value(self, name: str, epoch: int) -> float:
        """A field that may change, as it is when `epoch` epochs are done.

        Args:
            name: Its name in `changes`.
            epoch: Epochs finished.

        Example:
            >>> config = TrialConfig.from_dict(
            ...     {"optimizer.lr": 0.1, "changes.epochs": [2], "changes.lr": [0.01]}
            ... )
            >>> [config.value("lr", epoch) for epoch in range(4)]
            [0.1, 0.1, 0.01, 0.01]
        """
        section, _, leaf = CHANGEABLE[name].partition(".")
        current = getattr(getattr(self, section), leaf)
        values = getattr(self.changes, name)
        if values:
            for start, value in zip(self.changes.epochs, values, strict=True):
                current = value if start <= epoch else current
        return current

    def changed(self, epoch: int, values: Mapping[str, float]) -> "TrialConfig":
        """This config with new values after `epoch` epochs.

        Args:
            epoch: Epochs finished; not before the last change.
            values: The new values, by their names in `changes`.

        Example:
            >>> config = TrialConfig().changed(3, {"lr": 0.02}).changed(3, {"lr": 0.03})
            >>> config.changes.epochs, config.changes.lr
            ((3,), (0.03,))
        """
        before = [start for start in self.changes.epochs if start < epoch]
        starts = [*before, epoch]
        new = {
            # In force since each start: a list that was empty so far begins with what
            # the field itself says.
            name: (
                *(self.value(name, start) for start in before),
                values.get(name, self.value(name, epoch)),
            )
            for name in CHANGEABLE
            if name in values or getattr(self.changes, name)
        }
        return replace(self, changes=ChangesConfig(epochs=tuple(starts), **new))

    def in_effect(self) -> dict[str, Any]:
        """The fields that anything reads, by dotted name.

        The fields of a switched-off ingredient, and those that a schedule's kind does
        not read, are left out.

        Example:
            >>> config = TrialConfig.from_dict({"regularizer.kind": "none"})
            >>> "regularizer.kind" in config.in_effect()
            True
            >>> "regularizer.coeff" in config.in_effect()
            False
        """
        off = {
            "regularizer.": self.regularizer.kind == "none",
            "modulation.": not self.modulation.enabled,
            "changes.": not self.changes.epochs,
        }
        switches = {"regularizer.kind", "modulation.enabled"}
        values = self.to_dict()
        idle = {
            name
            for name in values
            if any(name.startswith(prefix) and off[prefix] for prefix in off)
        } - switches
        for prefix, kind, chosen in self._choices():
            idle |= _unread(prefix, kind, chosen, values)
        return {name: value for name, value in values.items() if name not in idle}

    def ingredients(self) -> dict[str, Ingredient]:
        """What is registered of all that this config names, by the field that does.

        Example:
            >>> found = TrialConfig().ingredients()
            >>> found["model.family"].name, found["optimizer.schedule.kind"].name
            ('plain', 'cosine')
        """
        return {
            f"{prefix}{KINDS[kind].choice}": chosen
            for prefix, kind, chosen in self._choices()
            if chosen is not None
        }

    def _choices(self) -> Iterator[tuple[str, str, Ingredient | None]]:
        """Prefix, kind, and what is chosen, of every choice of an ingredient."""
        for prefix, kind, section in sections(self):
            name = getattr(section, KINDS[kind].choice)
            known = name not in KINDS[kind].words
            yield prefix, kind, ingredient(kind, name) if known else None

    def canonical(self) -> dict[str, Any]:
        """The fields that can change the result, by dotted name.

        Those in effect, but for where the data lie, how they are read, and whether the
        test images are looked at. Of fields that came later only what is not as by
        default, so that what was recorded before keeps its identity; of what others
        have registered, a hash of its source. Two configs with equal canonical forms
        give equal metrics.
        """
        values = self.in_effect()
        found = {name: val for name, val in values.items() if name not in NO_RESULT}
        for name, default in later_fields(TrialConfig):
            if name in found and found[name] == default:
                del found[name]
        return found | self.sources()

    def sources(self) -> dict[str, str]:
        """The hashes of the sources that others have registered, by what names them.

        Example:
            >>> TrialConfig().sources()
            {}
        """
        return {
            f"{name} source": digest_of(chosen)
            for name, chosen in self.ingredients().items()
            if not chosen.is_ours and name in self.in_effect()
        }


def _unread(
    prefix: str, kind: str, chosen: Ingredient | None, values: Iterable[str]
) -> set[str]:
    """The fields that belong to ingredients of a kind, and not to the chosen one."""
    every = ingredients(kind)
    owned = {f"{prefix}{name}" for one in every.values() for name in one.reads}
    read = {f"{prefix}{name}" for name in chosen.reads} if chosen is not None else set()
    sections = tuple(f"{prefix}{name}." for name in every)
    own = f"{prefix}{chosen.name}." if chosen is not None else None
    for name in values:
        if name.startswith(sections):
            (read if own is not None and name.startswith(own) else owned).add(name)
    return owned - read


class _FieldRules(Mapping[str, Rule]):
    """The rule of every field, by dotted name; of what is registered, too."""

    def __init__(self) -> None:
        self._version = -1
        self._rules: dict[str, Rule] = {}

    def _current(self) -> dict[str, Rule]:
        if self._version != version():
            found: dict[str, Rule] = {}
            for name, rule in rules(TrialConfig):
                if name in found:
                    raise PluginError(
                        f"What is registered must have fields of its own, but `{name}` "
                        "is one already. Choose another name for it."
                    )
                found[name] = rule
            self._version, self._rules = version(), found
        return self._rules

    def __getitem__(self, name: str) -> Rule:
        """The rule of a field."""
        return self._current()[name]

    def __iter__(self) -> Iterator[str]:
        """The names of all fields, in order."""
        return iter(self._current())

    def __len__(self) -> int:
        """How many fields there are."""
        return len(self._current())


FIELD_RULES: Mapping[str, Rule] = _FieldRules()
"""The rule of every field, by dotted name."""


def check_field(name: str, value: object) -> None:
    """Check one value by the dotted name of its field.

    Raises:
        ConfigError: If there is no such field, or it may not hold the value.

    Example:
        >>> check_field("model.depth", 45)
        Traceback (most recent call last):
        orthotune.errors.ConfigError: `model.depth` must be 6n + 2 (8, 14, 20, ...), \
but got 45. Nearest: 44 or 50.
    """
    if name not in FIELD_RULES:
        hint = nearest(name, list(FIELD_RULES))
        raise ConfigError(name, f"is not a config field. {hint}")
    FIELD_RULES[name].check(name, value)
