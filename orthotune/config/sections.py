"""The sections of a trial's configuration: every field, its range and its source."""

from dataclasses import dataclass, field
from typing import Any

from orthotune.config.schedules import Schedule
from orthotune.nn.depth import check_depth
from orthotune.schema.fields import check_fields, own_settings
from orthotune.schema.registry import Names
from orthotune.schema.rules import Rule, setting, show

# Of settings that `changes` can hold too.
LR = Rule(kind=float, above=0, high=100)
COEFF = Rule(kind=float, low=0, high=1e3)
THRESHOLD = Rule(kind=float, low=0, high=1e3)
STRENGTH = Rule(kind=float, low=0, high=2)


HINT = "One of your own? Name its module with --import."


def chosen(kind: str, default: str, *, later: bool = False) -> Any:  # noqa: ANN401
    """The field of a section that names a registered ingredient of a kind."""
    rule = Rule(kind=str, choices=Names(kind), hint=HINT)
    return setting(default, rule, later=later)


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

    family: str = chosen("network", "plain")
    """plain (no shortcuts, the paper's subject), residual (its counterpart with
    identity shortcuts), or a registered network. Default plain."""

    depth: int = setting(44, Rule(kind=int, low=8, high=1202, extra=check_depth))
    """Number of parametric layers, 6n + 2: 8, 14, 20, 32, 44, 56, 74, 110, ... up to
    1202 (the deepest of He et al., 2016). Default 44, the paper's smaller network."""

    widths: tuple[int, ...] = setting(
        (16, 32, 64),
        Rule(kind=int, low=1, high=4096, is_list=True, extra=_check_widths),
    )
    """Filters of the three stages. Default [16, 32, 64], the paper's."""

    own: tuple[Any, ...] = own_settings("network")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Initial weights."""

    scheme: str = chosen("initialization", "orthonormal")
    """orthonormal (the paper's, group-wise where a layer has more filters than fan-in),
    he (Gaussian of variance 2 / fan-out), a registered one, or as_built (weights and
    biases as the network's function leaves them). Default orthonormal."""

    batch_norm_bias: float = setting(0.0, Rule(kind=float, low=-3, high=3))
    """Initial bias of every batch normalization, in units of its output's standard
    deviation. In [-3, 3]; default 0, as usual. Ours, not the paper's: near 1 a very
    deep plain network starts at the edge of chaos (`orthotune.nn.initialization`)."""

    own: tuple[Any, ...] = own_settings("initialization")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class RegularizerConfig:
    """The penalty on the weights of convolutions and linear layers."""

    kind: str = chosen("regularizer", "orthonormal")
    """orthonormal (paper, Eq. 3), l2 (weight decay), a registered one, or none.
    Batch-norm parameters and biases are never penalized by ours. Default
    orthonormal."""

    coeff: float = setting(1e-3, COEFF)
    """lambda of (lambda / 2) * penalty. In [0, 1000]; default 1e-3, measured on digits
    (the paper's value is not known to us; 1e-4 is usual for l2)."""

    schedule: Schedule = field(default_factory=Schedule)
    """Factor on `coeff` over training. Default constant."""

    own: tuple[Any, ...] = own_settings("regularizer")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class ModulationConfig:
    """Backward error modulation of chains of layers."""

    enabled: bool = setting(True, Rule(kind=bool))
    """Whether gradients are modulated. Default true."""

    threshold: float = setting(0.1, THRESHOLD)
    """Consecutive moments mismatch when `|log(q_above / q_below)|` exceeds this. In
    [0, 1000], natural logarithm; default 0.1, measured on digits (the paper says only
    that matching layers are left alone)."""

    strength: float = setting(1.0, STRENGTH)
    """Exponent alpha of rho^alpha: 0 off, 1 the paper's factor. In [0, 2], default
    1."""

    allow_branches: bool = setting(False, Rule(kind=bool), later=True)
    """Whether a network with branches is modulated on the chains between the points
    where paths meet, and not refused. Default false."""

    schedule: Schedule = field(default_factory=Schedule)
    """Factor on `strength` over training. Default constant: modulation throughout."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How the network is changed in an update."""

    kind: str = chosen("optimizer", "sgd", later=True)
    """sgd (with momentum), adamw, muon (hidden layers; AdamW on the rest), lars (rates
    by the norms of layers), or a registered optimizer. Default sgd."""

    lr: float = setting(0.01, LR)
    """Learning rate at the schedule's factor 1. In (0, 100]; default 0.01, measured on
    digits (0.1 is usual at batch 128 on CIFAR-10, He et al.)."""

    momentum: float = setting(0.9, Rule(kind=float, low=0, below=1))
    """Momentum of sgd. In [0, 1), default 0.9 (He et al.)."""

    nesterov: bool = setting(False, Rule(kind=bool))
    """Nesterov's form of momentum; needs momentum > 0. Default false."""

    schedule: Schedule = field(
        default_factory=lambda: Schedule(kind="cosine", warmup=0.1)
    )
    """Factor on `lr` over training. Default cosine with a 10 % warm-up; the paper's is
    multistep."""

    own: tuple[Any, ...] = own_settings("optimizer")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The data set and its batches."""

    name: str = chosen("dataset", "digits")
    """digits (scikit-learn's, embedded); cifar10, cifar100, svhn, mnist, fashion_mnist,
    kmnist (their files in `root`); image_folder, npz, pt, torchvision, huggingface
    (images of your own); synthetic (seeded); or a registered one. Default digits."""

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

    memory_share: float = setting(0.1, Rule(kind=float, low=0, high=1))
    """The share of the memory that is free in which a process may hold images that are
    read from files one by one; where they do not fit they are read anew every epoch,
    with the same result. In [0, 1]; default 0.1, for some trials side by side."""

    workers: int = setting(1, Rule(kind=int, low=0, high=64))
    """Processes of a trial that read such images while it trains, a core each at most;
    0 to read them in between. Default 1."""

    own: tuple[Any, ...] = own_settings("dataset")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The loop."""

    num_epochs: int = setting(10, Rule(kind=int, low=1, high=100_000))
    """Passes over the training images; the schedules span them. Default 10."""

    precision: str = setting("fp32", Rule(kind=str, choices=("fp32", "bf16", "fp16")))
    """fp32, also in a GPU's convolutions (no TF32); bf16: forward and backward in
    bfloat16 autocast, weights in float32; or fp16: likewise in float16, with the loss
    scaled so that errors fit, and updates left out whose gradients did not. For a GPU
    without bfloat16, and not measured on one; on a CPU ten times as slow. Default
    fp32."""

    label_smoothing: float = setting(0.0, Rule(kind=float, low=0, below=1), later=True)
    """Share of each target that is spread evenly over all classes, in the training loss
    alone (Szegedy et al., 2016). In [0, 1); default 0: none."""

    clip_norm: float | None = setting(
        None, Rule(kind=float, above=0, high=1e6, optional=True), later=True
    )
    """Largest norm of all gradients together: longer ones are shortened to it. That of
    what reaches the optimizer, so modulated and with the penalty's. In (0, 1e6], or
    null for none. Default null."""

    compile: bool = setting(False, Rule(kind=bool))
    """Whether forward and backward are compiled (torch.compile), once for each shape in
    a process. For a GPU; on a CPU half a minute to a minute for 1.01 to 1.09 times the
    speed. Default false."""

    capture: str = setting(
        "auto", Rule(kind=str, choices=("auto", "never")), later=True
    )
    """Whether updates on a GPU are captured as one CUDA graph and replayed: auto (where
    they can be, with the same results) or never. On a CPU there is none. Default
    auto."""

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
