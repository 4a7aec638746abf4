"""How a space is searched, and what one trial occupies: the settings of a study."""

import re
from dataclasses import dataclass, field, replace

from orthotune.config.metrics import ACCURACY, TARGETS, minimized
from orthotune.errors import ConfigError
from orthotune.schema.fields import check_fields
from orthotune.schema.rules import Rule, setting, show


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError(
            "must be 1 to 64 letters, digits, dots, dashes or underscores, "
            f"but got {show(name)}. It names a folder and an MLflow experiment."
        )


def _check_gpus(gpus: float) -> None:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(
            f"must be a fraction of one GPU or a whole number, but got {gpus:g}."
        )


AUTO = "auto"

SMALLEST_POPULATION = 4

COPIES_KEPT = 4
"""States of each member of a pbt population that Ray keeps for others to copy: with
fewer it deletes some before they are."""

CONFIRMED_SCHEDULES = 3
"""Schedules of a pbt population that are confirmed where nothing is said."""

RENAMED = {"search.validation_seeds": "search.confirm.seeds"}
"""What settings were called before, and are called now."""


@dataclass(frozen=True, kw_only=True)
class ConfirmSettings:
    """How the best trials are confirmed after a search: with fresh seeds, racing."""

    top: int = setting(0, Rule(kind=int, low=0, high=1000))
    """Trials with a full budget, the best, that are trained again from scratch with
    fresh seeds once the search has ended; what is worse than the best of them beyond
    doubt gets no further seeds. 0 for none; pbt, whose schedules are always confirmed,
    takes 3 then. Default 0."""

    seeds: int = setting(3, Rule(kind=int, low=1, high=1000))
    """Fresh seeds for each of them at most, the same for all; the best is the one with
    the best mean. Default 3."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How the space is searched."""

    num_trials: int = setting(20, Rule(kind=int, low=1, high=1_000_000))
    """Trials to run. Default 20."""

    max_epochs: int = setting(10, Rule(kind=int, low=1, high=100_000))
    """Epochs of a trial that is not stopped early; its schedules span them. Default
    10."""

    searcher: str = setting(
        "tpe", Rule(kind=str, choices=("tpe", "random", "gp", "qmc", "grid"))
    )
    """tpe (tree-structured Parzen estimator), gp (Gaussian process), random, qmc
    (quasi-random: a Sobol sequence, which fills the space evenly), or grid (every
    combination, once; leave out `num_trials`). Default tpe."""

    scheduler: str = setting("asha", Rule(kind=str, choices=("asha", "pbt", "none")))
    """asha (asynchronous successive halving: stops the worse trials early), pbt
    (population-based training: `num_trials` train side by side; every
    `perturbation_epochs` the worst quarter goes on from copies of the best, with
    perturbed settings), or none. Default asha."""

    grace_epochs: int = setting(1, Rule(kind=int, low=1, high=100_000))
    """Epochs before asha may stop a trial. Default 1."""

    reduction_factor: int = setting(3, Rule(kind=int, low=2, high=100))
    """One in so many trials passes each rung of asha. Default 3."""

    perturbation_epochs: int = setting(5, Rule(kind=int, low=1, high=100_000))
    """Epochs between two comparisons of a pbt population. Default 5."""

    confirm: ConfirmSettings = field(default_factory=ConfirmSettings)

    seed: int = setting(0, Rule(kind=int, low=0, high=2**32 - 1))
    """Seed of the searcher (a trial's own is the field `seed`). Default 0."""

    time_budget_s: float | None = setting(
        None, Rule(kind=float, above=0, high=1e8, optional=True)
    )
    """Seconds after which no trial goes on; null for no limit. Default null."""

    max_concurrent: int | None = setting(
        None, Rule(kind=int, low=1, high=100_000, optional=True)
    )
    """Trials that run at once; null for as many as the resources hold. With 1 every
    suggestion knows all results before it, so a study repeats itself exactly. Default
    null."""

    keep_checkpoints: int = setting(3, Rule(kind=int, low=0, high=100_000))
    """Checkpoints of ended trials that are kept, those of the best; of all that are
    confirmed, if of any. Default 3."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.scheduler == "asha" and self.grace_epochs > self.max_epochs:
            raise ConfigError(
                "grace_epochs",
                f"must be at most `search.max_epochs` = {self.max_epochs}, "
                f"but got {self.grace_epochs}.",
            )
        if self.is_population:
            self._check_population()
            top = self.confirm.top or CONFIRMED_SCHEDULES
            object.__setattr__(self, "confirm", replace(self.confirm, top=top))

    @property
    def is_population(self) -> bool:
        """Whether the trials train side by side and copy each other."""
        return self.scheduler == "pbt"

    @property
    def num_confirmations(self) -> int:
        """The most trials that confirm what was found."""
        return min(self.confirm.top, self.num_trials) * self.confirm.seeds

    @property
    def num_kept(self) -> int:
        """The checkpoints of ended trials that are kept."""
        return self.keep_checkpoints and max(self.keep_checkpoints, self.confirm.top)

    def _check_population(self) -> None:
        if self.num_trials < SMALLEST_POPULATION:
            raise ConfigError(
                "num_trials",
                f"must be at least {SMALLEST_POPULATION} for pbt, which copies one "
                f"quarter of the trials to another, but got {self.num_trials}.",
            )
        if self.perturbation_epochs >= self.max_epochs:
            raise ConfigError(
                "perturbation_epochs",
                f"must be less than `search.max_epochs` = {self.max_epochs}, "
                f"but got {self.perturbation_epochs}. There would be no comparison.",
            )
        if self.max_concurrent is not None:
            raise ConfigError(
                "max_concurrent",
                f"must be null for pbt, but got {self.max_concurrent}. A population "
                "takes turns on what the resources hold.",
            )


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial occupies."""

    cpus: int = setting(1, Rule(kind=int, low=1, high=4096))
    """CPU cores. A trial computes with one thread; more only reserve. Default 1."""

    gpus: float | str = setting(
        0.0, Rule(kind=float, low=0, high=1024, words=(AUTO,), extra=_check_gpus)
    )
    """GPUs; a fraction shares one between trials. auto: a trial of each shape is
    measured on a GPU, and so many share one as fit into its memory and keep it busy; on
    a machine without one, 0. Default 0."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """The settings of a study without its space."""

    name: str = setting("study", Rule(kind=str, extra=_check_name))
    """Name of the study, its folder and its MLflow experiment. Default: the file's."""

    metric: str = setting("val_error", Rule(kind=str, choices=(*TARGETS, ACCURACY)))
    """What is minimized; val_accuracy, which is maximized, is taken as 1 - val_error,
    so that val_error is minimized and shown. Default val_error."""

    mode: str = setting("min", Rule(kind=str, choices=("min", "max")))
    """min, but max for val_accuracy, where it may be left out: every other metric is
    better when smaller. Default min."""

    search: SearchSettings = field(default_factory=SearchSettings)
    resources: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.mode == "max" and self.metric != ACCURACY:
            raise ConfigError(
                "mode",
                f"must be min for {self.metric}, which is better when smaller, but got "
                f"max. Delete it, or set `metric: {ACCURACY}`.",
            )
        object.__setattr__(self, "metric", minimized(self.metric))
        object.__setattr__(self, "mode", "min")
