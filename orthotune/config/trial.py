"""The configuration of one trial: every field, its meaning, unit, range and source.

A config is written as a flat mapping of dotted names (`model.depth: 44`), in files, on
the command line and in Tune's param space alike. This module imports no torch: a file
is checked before anything heavy loads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orthotune.config.hints import nearest
from orthotune.config.rules import (
    Rule,
    build,
    check_fields,
    leaves,
    rules,
    setting,
    show,
)
from orthotune.config.schedules import Schedule
from orthotune.errors import ConfigError
from orthotune.nn.depth import check_depth

# Of settings that `changes` can hold too.
_LR = Rule(kind=float, above=0, high=100)
_COEFF = Rule(kind=float, low=0, high=1e3)
_THRESHOLD = Rule(kind=float, low=0, high=1e3)
_STRENGTH = Rule(kind=float, low=0, high=2)


def _check_widths(widths: list[int]) -> None:
    if len(widths) != 3:
        raise ValueError(
            f"must be three numbers of filters, but got {show(list(widths))}. "
            "The default is [16, 32, 64]."
        )


def _check_path(path: str) -> None:
    if not path or "\0" in path:
        raise ValueError(f"must be the path of a folder, but got {show(path)}.")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network."""

    family: str = setting("plain", Rule(kind=str, choices=("plain", "residual")))
    """plain (no shortcuts, the paper's subject) or residual (its counterpart with
    identity shortcuts). Default plain."""

    depth: int = setting(44, Rule(kind=int, low=8, high=1202, extra=check_depth))
    """Number of parametric layers, 6n + 2: 8, 14, 20, 32, 44, 56, 74, 110, ... up to
    1202 (the deepest of He et al., 2016). Default 44, the paper's smaller network."""

    widths: tuple[int, ...] = setting(
        (16, 32, 64),
        Rule(kind=int, low=1, high=4096, is_list=True, extra=_check_widths),
    )
    """Filters of the three stages. Default [16, 32, 64], the paper's."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Initial weights."""

    scheme: str = setting("orthonormal", Rule(kind=str, choices=("orthonormal", "he")))
    """orthonormal (the paper's, group-wise where a layer has more filters than fan-in)
    or he (Gaussian of variance 2 / fan-out). Default orthonormal."""

    batch_norm_bias: float = setting(0.0, Rule(kind=float, low=-3, high=3))
    """Initial bias of every batch normalization, in units of its output's standard
    deviation. In [-3, 3]; default 0, as usual. Ours, not the paper's: near 1 a very
    deep plain network starts at the edge of chaos (`orthotune.nn.initialization`)."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class RegularizerConfig:
    """The penalty on the weights of convolutions and linear layers."""

    kind: str = setting(
        "orthonormal", Rule(kind=str, choices=("orthonormal", "l2", "none"))
    )
    """orthonormal (paper, Eq. 3), l2 (weight decay), or none. Batch-norm parameters and
    biases are never penalized. Default orthonormal."""

    coeff: float = setting(1e-3, _COEFF)
    """lambda of (lambda / 2) * penalty. In [0, 1000]; default 1e-3, measured on digits
    (the paper's value is not known to us; 1e-4 is usual for l2)."""

    schedule: Schedule = field(default_factory=Schedule)
    """Factor on `coeff` over training. Default constant."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class ModulationConfig:
    """Backward error modulation (plain networks only)."""

    enabled: bool = setting(True, Rule(kind=bool))
    """Whether gradients are modulated. Default true."""

    threshold: float = setting(0.1, _THRESHOLD)
    """Consecutive moments mismatch when `|log(q_above / q_below)|` exceeds this. In
    [0, 1000], natural logarithm; default 0.1, measured on digits (the paper says only
    that matching layers are left alone)."""

    strength: float = setting(1.0, _STRENGTH)
    """Exponent alpha of rho^alpha: 0 off, 1 the paper's factor. In [0, 2], default
    1."""

    schedule: Schedule = field(default_factory=Schedule)
    """Factor on `strength` over training. Default constant: modulation throughout."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Stochastic gradient descent."""

    lr: float = setting(0.01, _LR)
    """Learning rate at the schedule's factor 1. In (0, 100]; default 0.01, measured on
    digits (0.1 is usual at batch 128 on CIFAR-10, He et al.)."""

    momentum: float = setting(0.9, Rule(kind=float, low=0, below=1))
    """Momentum. In [0, 1), default 0.9 (He et al.)."""

    nesterov: bool = setting(False, Rule(kind=bool))
    """Nesterov's form of momentum; needs momentum > 0. Default false."""

    schedule: Schedule = field(
        default_factory=lambda: Schedule(kind="cosine", warmup=0.1)
    )
    """Factor on `lr` over training. Default cosine with a 10 % warm-up; the paper's is
    multistep."""

    def __post_init__(self) -> None:
        check_fields(self)


DATA_NAMES = (
    "digits",
    "cifar10",
    "cifar100",
    "svhn",
    "fashion_mnist",
    "synthetic",
)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The data set and its batches."""

    name: str = setting("digits", Rule(kind=str, choices=DATA_NAMES))
    """digits (scikit-learn's, embedded), cifar10, cifar100, svhn, fashion_mnist (read
    from `root` by torchvision) or synthetic (seeded). Default digits."""

    root: str = setting("data", Rule(kind=str, extra=_check_path))
    """Folder of the data sets that are files. Default `data` in the working
    directory."""

    download: bool = setting(False, Rule(kind=bool))
    """Whether files that are missing in `root`, or broken, may be downloaded into it.
    Default false."""

    batch_size: int = setting(64, Rule(kind=int, low=2, high=65536))
    """Images a training batch, at least 2 (batch norm). Default 64 (the paper's CIFAR
    batch is 128, from He et al.)."""

    num_micro_batches: int = setting(1, Rule(kind=int, low=1, high=4096))
    """Parts a batch is split into; their gradients add up to the batch's. Saves memory,
    but batch norm takes its statistics part by part. Default 1."""

    augment: bool = setting(False, Rule(kind=bool))
    """Random crops of the zero-padded image, and horizontal flips where a mirror image
    keeps its class. Default false, as far as we can tell the paper's."""

    num_train: int | None = setting(
        None, Rule(kind=int, low=2, high=10**9, optional=True)
    )
    """Training images used, of the training split; null for all. Default null."""

    def __post_init__(self) -> None:
        check_fields(self)


CHANGEABLE = {
    "lr": "optimizer.lr",
    "coeff": "regularizer.coeff",
    "threshold": "modulation.threshold",
    "strength": "modulation.strength",
}
"""The fields that may change during training, by their names in `changes`."""


def _changed(rule: Rule) -> Any:  # noqa: ANN401 - as `setting`
    return setting((), replace(rule, is_list=True))


@dataclass(frozen=True, kw_only=True)
class ChangesConfig:
    """New values of four settings from given epochs on.

    What population-based training has made a trial live through, as a schedule that can
    be run again. Where a list is empty, that setting does not change. The schedules of
    the settings go on as factors of the new values.
    """

    epochs: tuple[int, ...] = setting(
        (), Rule(kind=int, low=1, high=100_000, is_list=True)
    )
    """Epochs finished before each change; increasing. Default none."""

    lr: tuple[float, ...] = _changed(_LR)
    """`optimizer.lr` from each change on, a value for each. Default none: unchanged."""

    coeff: tuple[float, ...] = _changed(_COEFF)
    """`regularizer.coeff`, likewise. Default none."""

    threshold: tuple[float, ...] = _changed(_THRESHOLD)
    """`modulation.threshold`, likewise. Default none."""

    strength: tuple[float, ...] = _changed(_STRENGTH)
    """`modulation.strength`, likewise. Default none."""

    def __post_init__(self) -> None:
        check_fields(self)
        epochs = list(self.epochs)
        if epochs != sorted(set(epochs)):
            raise ConfigError(
                "epochs", f"must increase, but got {show(epochs)}. Sort them."
            )
        for name in CHANGEABLE:
            values = list(getattr(self, name))
            if values and len(values) != len(epochs):
                raise ConfigError(
                    name,
                    "must hold one value for each of `changes.epochs` = "
                    f"{show(epochs)}, or none, but got {show(values)}.",
                )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The loop."""

    num_epochs: int = setting(10, Rule(kind=int, low=1, high=100_000))
    """Passes over the training images; the schedules span them. Default 10."""

    precision: str = setting("fp32", Rule(kind=str, choices=("fp32", "bf16")))
    """fp32, also in a GPU's convolutions (no TF32), or bf16: forward and backward in
    bfloat16 autocast, weights in float32. Default fp32."""

    compile: bool = setting(False, Rule(kind=bool))
    """Whether forward and backward are compiled (torch.compile), once for each shape in
    a process. For a GPU; on a CPU half a minute to a minute for 1.01 to 1.09 times the
    speed. Default false."""

    batch_norm: str = setting(
        "recalibrated", Rule(kind=str, choices=("recalibrated", "running"))
    )
    """Statistics used in evaluation: recalibrated (all layers from one large batch of
    training images before every evaluation) or running (torch's averages, which fail in
    very deep plain networks). Default recalibrated."""

    evaluate_test: bool = setting(False, Rule(kind=bool))
    """Whether the last epoch also reports `test_error`. For a configuration already
    chosen, once. Default false."""

    def __post_init__(self) -> None:
        check_fields(self)


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
        if self.modulation.enabled and self.model.family != "plain":
            raise ConfigError(
                "modulation.enabled",
                f"must be false for `model.family` {self.model.family}, but got True. "
                "Modulation is exact only without shortcuts.",
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
        values, idle = self.to_dict(), set()
        for name in values:
            owner, _, leaf = name.rpartition(".")
            if any(name.startswith(prefix) and off[prefix] for prefix in off):
                idle |= {name} - switches
            elif owner.endswith(".schedule"):
                section = getattr(self, owner.split(".")[0])
                idle |= set() if leaf in section.schedule.fields_read() else {name}
        return {name: value for name, value in values.items() if name not in idle}

    def canonical(self) -> dict[str, Any]:
        """The fields that can change the result, by dotted name.

        Those in effect, but for where the data lie and whether the test images are
        looked at. Two configs with equal canonical forms give equal metrics.
        """
        aside = {"data.root", "data.download", "training.evaluate_test"}
        values = self.in_effect()
        return {name: value for name, value in values.items() if name not in aside}


FIELD_RULES: dict[str, Rule] = dict(rules(TrialConfig))
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
