"""Which parameters a metric depends on, by two methods that ask different things.

fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014) asks how much of the metric's variance
over the whole space a parameter explains by itself; PED-ANOVA (Watanabe, Bansal and
Hutter, IJCAI 2023, arXiv 2304.10255) how much its distribution among the best trials
differs from that among all. Both are Optuna's. They are given places on the scale that
a parameter is searched on: Optuna's fANOVA would weigh a logarithmic parameter by its
plain values, most of which lie in the last decade.

Trials are compared by their values at one epoch: the deepest that enough of them have
reached, whatever became of them afterwards. Where a parameter is not in effect in all
trials, those in which it is are a group of their own.
"""

import json
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orthotune.record.trial_record import WITHOUT_VALUE, TrialRecord
from orthotune.report.in_effect import in_effect
from orthotune.space.conditions import condition_text
from orthotune.space.parameters import CategoricalParameter, Parameter
from orthotune.space.scale import place

if TYPE_CHECKING:  # a study needs Optuna's importances when it ends
    from optuna.distributions import BaseDistribution

EVERY = "all trials"
"""The group that every trial belongs to."""

FEWEST = 20
"""Trials below which there are no numbers. PED-ANOVA wants 5 trials in its best part
(Optuna's advice), which is to be a quarter at most. With 20 random trials, a linear
effect and noise of a third of its spread both methods named the right one of 4
parameters in 93 % of 40 draws."""

MOST = 200
"""Trials above which a random sample of so many stands for all: the time of fANOVA
grows with the square (200: 1.3 s, 2,000: 60 to 68 s on one core)."""

BEST_PART = 0.25
"""The trials that PED-ANOVA takes for good. Optuna's 0.1 are two of 20: they named the
right parameter in 60 % of the same draws."""

AGREEING = 0.5
"""The rank correlation from which on the methods are said to agree."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The importances of the parameters that a group of trials has in common.

    Args:
        group: Which trials, in words.
        num_trials: How many of them have reached the epoch.
        epoch: At which they are compared; None if too few have reached any.
        num_used: How many of them were looked at.
        fanova: The share of each parameter, which add up to 1, the largest first; empty
            if there are no numbers.
        ped_anova: The same by the other method.
        constant: Parameters of the group with a single value, which are left out.
        reason: Why there are no numbers, a sentence.
    """

    group: str
    num_trials: int
    epoch: int | None = None
    num_used: int = 0
    fanova: Mapping[str, float] = field(default_factory=dict)
    ped_anova: Mapping[str, float] = field(default_factory=dict)
    constant: Sequence[str] = ()
    reason: str = ""

    @property
    def correlation(self) -> float | None:
        """Spearman's rank correlation of the two; None for fewer than 3 parameters."""
        if len(self.fanova) < 3:
            return None
        import numpy as np
        from scipy.stats import rankdata

        theirs = [self.ped_anova[name] for name in self.fanova]
        ranks = [rankdata(shares) for shares in (list(self.fanova.values()), theirs)]
        return float(np.corrcoef(ranks)[0, 1])

    @property
    def agree(self) -> bool:
        """Whether the first is the same and the ranks correlate by `AGREEING`."""
        if not self.fanova:
            return True
        correlation = self.correlation
        alike = correlation is None or correlation >= AGREEING
        return alike and next(iter(self.fanova)) == next(iter(self.ped_anova))


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """A trial, and which of its values are in effect."""

    record: TrialRecord
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Trials that are compared, at an epoch that all of them have reached."""

    name: str
    trials: Sequence[_Trial]
    epoch: int | None


def importances(
    parameters: Sequence[Parameter],
    records: Sequence[TrialRecord],
    metric: str,
    seed: int,
) -> list[Importance]:
    """The importances among all trials, and among those that more parameters act on.

    Args:
        parameters: What varies.
        records: The trials. Those without a result and those that diverged are left
            out.
        metric: What is minimized.
        seed: Seed of the sample, where there is one, and of fANOVA's forest.
    """
    trials = [
        _Trial(record=record, values=in_effect(parameters, record))
        for record in sorted(records, key=lambda record: record.number)
        if record.history and record.status not in WITHOUT_VALUE
    ]
    groups: dict[object, _Group] = {}
    for name, own in _kinds(parameters, trials):
        group = _at_one_epoch(name, own)
        same = tuple(trial.record.number for trial in group.trials)
        groups.setdefault((group.epoch, same), group)
    return [_importance(group, parameters, metric, seed) for group in groups.values()]


def _kinds(
    parameters: Sequence[Parameter], trials: Sequence[_Trial]
) -> list[tuple[str, list[_Trial]]]:
    """All trials, and those that each parameter is in effect in, by their names."""
    found: dict[tuple[int, ...], tuple[list[Parameter], list[_Trial]]] = {}
    for parameter in parameters:
        own = [trial for trial in trials if parameter.name in trial.values]
        numbers = tuple(trial.record.number for trial in own)
        found.setdefault(numbers, ([], own))[0].append(parameter)
    every = tuple(trial.record.number for trial in trials)
    found.pop(every, None)
    rest = [(_name(acting, trials, own), own) for acting, own in found.values()]
    return [(EVERY, list(trials)), *rest]


def _name(
    acting: Sequence[Parameter], trials: Sequence[_Trial], own: Sequence[_Trial]
) -> str:
    """By a condition of the file, if exactly these trials meet it."""
    for parameter in acting:
        met = sum(_is_given(parameter, trial.record) for trial in trials)
        if parameter.when and met == len(own):
            return f"trials with {condition_text(parameter.when)}"
    names = " and ".join(parameter.name for parameter in acting)
    return f"trials in which {names} {'is' if len(acting) == 1 else 'are'} in effect"


def _is_given(parameter: Parameter, record: TrialRecord) -> bool:
    return all(name in record.fields for name in parameter.fields)


def _at_one_epoch(name: str, trials: Sequence[_Trial]) -> _Group:
    """The trials that have reached the deepest epoch that enough of them have.

    All, if none is deep enough.
    """
    reached = Counter(epoch for trial in trials for epoch in trial.record.history)
    deep = [epoch for epoch, count in reached.items() if count >= FEWEST]
    if not deep:
        return _Group(name=name, trials=trials, epoch=None)
    epoch = max(deep)
    there = [trial for trial in trials if epoch in trial.record.history]
    return _Group(name=name, trials=there, epoch=epoch)


def _importance(
    group: _Group, parameters: Sequence[Parameter], metric: str, seed: int
) -> Importance:
    trials, epoch = group.trials, group.epoch
    shared = [p for p in parameters if all(p.name in t.values for t in trials)]
    varied = [p for p in shared if _num_values(p, trials) > 1]
    result = Importance(group=group.name, num_trials=len(trials), epoch=epoch)
    if epoch is None:
        there_are = f"there are {len(trials)}" if trials else "there is none"
        reason = f"they take {FEWEST} trials, and {there_are}."
        return replace(result, reason=reason)
    values = {t.record.number: t.record.history[epoch][metric] for t in trials}
    reason = _too_little(varied, list(values.values()), metric)
    if reason:
        return replace(result, reason=reason)
    used = list(trials)
    if len(used) > MOST:
        used = random.Random(seed).sample(used, MOST)
    fanova, ped_anova = _shares(varied, used, values, seed)
    return replace(
        result,
        num_used=len(used),
        fanova=fanova,
        ped_anova=ped_anova,
        constant=[p.name for p in shared if p not in varied],
    )


def _num_values(parameter: Parameter, trials: Sequence[_Trial]) -> int:
    # A list of widths has no hash.
    return len({json.dumps(trial.values[parameter.name]) for trial in trials})


def _too_little(
    varied: Sequence[Parameter], values: Sequence[float], metric: str
) -> str:
    """Why nothing can be said, if so."""
    if len(varied) < 2:
        return "they compare parameters, and fewer than two vary."
    ordered = sorted(values)
    if ordered[math.ceil(BEST_PART * len(ordered)) - 1] == ordered[-1]:
        return f"three quarters of the trials have the same `{metric}`."
    return ""


def _shares(
    parameters: Sequence[Parameter],
    trials: Sequence[_Trial],
    values: Mapping[int, float],
    seed: int,
) -> list[dict[str, float]]:
    """The shares by both methods, the largest first."""
    import optuna
    from optuna.importance import (
        FanovaImportanceEvaluator,
        PedAnovaImportanceEvaluator,
        get_param_importances,
    )

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    distributions = {p.name: _distribution(p) for p in parameters}
    study.add_trials(
        optuna.trial.create_trial(
            params={p.name: _placed(p, trial.values[p.name]) for p in parameters},
            distributions=distributions,
            value=values[trial.record.number],
        )
        for trial in trials
    )
    evaluators = (
        FanovaImportanceEvaluator(seed=seed),
        PedAnovaImportanceEvaluator(target_quantile=BEST_PART),
    )
    names = [parameter.name for parameter in parameters]
    found = [
        get_param_importances(study, evaluator=evaluator, params=names)
        for evaluator in evaluators
    ]
    # Ties in the order of the file: Optuna's goes by the hashes of the names.
    return [
        {n: float(one[n]) for n in sorted(names, key=lambda n: -one[n])}
        for one in found
    ]


def _distribution(parameter: Parameter) -> "BaseDistribution":
    from optuna import distributions

    if isinstance(parameter, CategoricalParameter):
        return distributions.CategoricalDistribution(range(len(parameter.choices)))
    if _is_stepped(parameter):
        return distributions.IntDistribution(0, int(parameter.size) - 1)
    return distributions.FloatDistribution(0, 1)


def _placed(parameter: Parameter, value: Any) -> float:  # noqa: ANN401 - of its kind
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices.index(value)
    at = place(parameter, value)
    if _is_stepped(parameter):
        return round(at * (parameter.size - 1))
    return min(1.0, max(0.0, at))  # a logarithm of a bound may round beyond it


def _is_stepped(parameter: Parameter) -> bool:
    if isinstance(parameter, CategoricalParameter):
        return False
    return math.isfinite(parameter.size) and not parameter.log
