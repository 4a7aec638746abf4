"""How a space is searched, and what one trial occupies: the settings of a study."""

import re
from dataclasses import dataclass, field, replace

from orthotune.config.metrics import (
    ACCURACY,
    COSTS,
    MOST_OBJECTIVES,
    TARGETS,
    minimized,
)
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

ORDERED = ("grid", "qmc")
"""Searchers that go through configurations in an order that no result changes."""

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
        "tpe", Rule(kind=str, choices=("tpe", "random", "gp", "qmc", "grid", "nsga2"))
    )
    """tpe (tree-structured Parzen estimator), gp (Gaussian process), random, qmc
    (quasi-random: a Sobol sequence, which fills the space evenly), grid (every
    combination, once; leave out `num_trials`), or nsga2 (a genetic algorithm, for
    several metrics). Default tpe."""

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

    start_from: tuple[str, ...] = setting((), Rule(kind=str, is_list=True), later=True)
    """Earlier studies, by name in this storage or by the path of the folder, and files
    such as their `best.yaml`: the best of them are tried first, and their trials told
    to the searcher where they are trials of this study too. Default []."""

    audit: float = setting(0.0, Rule(kind=float, low=0, high=1), later=True)
    """Share of the trials that the scheduler stops which run on to the full budget, for
    an audit of what stopping costs; they stay out of everything else. Default 0."""

    stop_on_signal: bool = setting(False, Rule(kind=bool), later=True)
    """Whether trials are also stopped after their first epoch, by a rule that the study
    learns from what is known of the layers then; such stops are always audited. Not
    for pbt; nothing is stopped where `grace_epochs` is 1. Default false."""

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
        if self.start_from and (self.is_population or self.searcher in ORDERED):
            raise ConfigError(
                "start_from",
                "must be left out for pbt, grid and qmc, whose trials are chosen "
                f"together, but got {show(list(self.start_from))}.",
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
        for name in ("audit", "stop_on_signal"):
            if getattr(self, name):
                raise ConfigError(
                    name,
                    "must be as by default for pbt, which stops no trial, but got "
                    f"{getattr(self, name)}. Leave it out.",
                )
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

    metric: str = setting(
        "val_error", Rule(kind=str, choices=(*TARGETS, ACCURACY, *COSTS), or_list=True)
    )
    """What is minimized; val_accuracy, which is maximized, is taken as 1 - val_error,
    so that val_error is minimized and shown. Of two or three metrics in a list, the
    first of them a target, the best compromises are sought. Default val_error."""

    mode: str = setting("min", Rule(kind=str, choices=("min", "max"), or_list=True))
    """min, but max for val_accuracy, where it may be left out: every other metric is
    better when smaller. For several metrics a list, or left out. Default min."""

    objectives: tuple[str, ...] = ()
    """All that is minimized; the first is `metric`. It follows from what is given."""

    search: SearchSettings = field(default_factory=SearchSettings)
    resources: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        check_fields(self)
        given = self.metric if isinstance(self.metric, tuple) else (self.metric,)
        modes = self.mode if isinstance(self.mode, tuple) else (self.mode,) * len(given)
        found = tuple(map(minimized, given))
        if not given[1:] and self.objectives[:1] == found:  # replaced, not given anew
            found = self.objectives
        self._check_mode(given, modes)
        self._check_objectives(found)
        object.__setattr__(self, "metric", found[0])
        object.__setattr__(self, "mode", "min")
        object.__setattr__(self, "objectives", found)

    @property
    def asked_metric(self) -> str | list[str]:
        """What is minimized: a metric, or a list of several."""
        return list(self.objectives) if self.objectives[1:] else self.metric

    def _check_mode(self, given: tuple[str, ...], modes: tuple[str, ...]) -> None:
        if len(modes) != len(given):
            raise ConfigError(
                "mode",
                f"must be as many as `metric` has, {len(given)}, but got "
                f"{show(list(modes))}. Leave it out.",
            )
        for metric, mode in zip(given, modes, strict=True):
            if mode == "max" and metric != ACCURACY:
                raise ConfigError(
                    "mode",
                    f"must be min for {metric}, which is better when smaller, but got "
                    f"max. Delete it, or set `metric: {ACCURACY}`.",
                )
            if mode == "min" and metric == ACCURACY and isinstance(self.mode, tuple):
                raise ConfigError(
                    "mode", f"must be max for {ACCURACY}, but got min. Delete it."
                )

    def _check_objectives(self, found: tuple[str, ...]) -> None:
        """Refuse metrics that do not make a question together."""
        if found[0] in COSTS:
            first = f"{found[0]} alone" if not found[1:] else f"{found[0]} first"
            raise ConfigError(
                "metric",
                f"must begin with what is to be learned, one of {', '.join(TARGETS)}, "
                f"but got {first}. Write [val_error, {found[0]}].",
            )
        if len(set(found)) < len(found) or len(found) > MOST_OBJECTIVES:
            raise ConfigError(
                "metric",
                f"must be at most {MOST_OBJECTIVES} different metrics, but got "
                f"{show(list(found))}. Leave some out.",
            )
        wrong = self.search.searcher == ("gp" if found[1:] else "nsga2")
        if wrong:
            searchers, many = "tpe, random, gp", "one metric"
            if found[1:]:
                searchers, many = "tpe, nsga2, random", "several metrics"
            raise ConfigError(
                "search.searcher",
                f"must be {searchers}, qmc or grid for {many}, but got "
                f"{self.search.searcher}.",
            )
        if found[1:] and self.search.scheduler != "none":
            raise ConfigError(
                "search.scheduler",
                "must be none for several metrics, as no trial is simply the worse "
                f"one, but got {self.search.scheduler}. Write `scheduler: none`.",
            )
        if found[1:] and self.search.stop_on_signal:
            raise ConfigError(
                "search.stop_on_signal",
                "must be false for several metrics, of which no one says who is among "
                "the better, but got true. Leave it out.",
            )
