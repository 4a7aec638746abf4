"""Which parameters a metric depends on, by two methods that ask different things.

fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014) asks how much of the metric's variance
over the whole space a parameter explains by itself; PED-ANOVA (Watanabe, Bansal and
Hutter, IJCAI 2023, arXiv 2304.10255) how much its distribution among the best trials
differs from that among all. Both are Optuna's. They are given places on the scale that
a parameter is searched on: Optuna's fANOVA would weigh a logarithmic parameter by its
plain values, most of which lie in the last decade.

Where a parameter is conditional, the trials that have it are a group of their own.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orthotune.tuning.journal import TrialRecord
from orthotune.tuning.scale import place
from orthotune.tuning.search_space import CategoricalParameter, Parameter

if TYPE_CHECKING:  # a study needs Optuna's importances when it ends
    from optuna.distributions import BaseDistribution

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
        group: Which trials; nothing for all that can be compared.
        num_trials: How many they are.
        num_used: How many of them were looked at.
        fanova: The share of each parameter, which add up to 1, the largest first; empty
            if there are no numbers.
        ped_anova: The same by the other method.
        constant: Parameters of the group with a single value, which are left out.
        reason: Why there are no numbers, a sentence.
    """

    group: Mapping[str, Any]
    num_trials: int
    num_used: int = 0
    fanova: Mapping[str, float] = field(default_factory=dict)
    ped_anova: Mapping[str, float] = field(default_factory=dict)
    constant: Sequence[str] = ()
    reason: str = ""

    @property
    def title(self) -> str:
        """The group in words."""
        parts = [f"{name} = {value}" for name, value in self.group.items()]
        return " and ".join(parts) or "all trials"

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


def importances(
    parameters: Sequence[Parameter],
    records: Sequence[TrialRecord],
    metric: str,
    seed: int,
) -> list[Importance]:
    """The importances among all trials, and among those of every condition.

    Args:
        parameters: What varies.
        records: The trials, all of equal budget.
        metric: What is minimized.
        seed: Seed of the sample, where there is one, and of fANOVA's forest.
    """
    ordered = sorted(records, key=lambda record: record.number)
    return [
        _importance(condition, parameters, group, metric, seed)
        for condition, group in _groups(parameters, ordered)
    ]


def _groups(
    parameters: Sequence[Parameter], records: Sequence[TrialRecord]
) -> list[tuple[Mapping[str, Any], list[TrialRecord]]]:
    """All trials, and those of each condition that not all of a group before meet."""
    groups: dict[tuple[int, ...], tuple[Mapping[str, Any], list[TrialRecord]]] = {}
    for condition in ({}, *(parameter.when for parameter in parameters)):
        names = [p.name for p in parameters if p.when == condition]
        own = [r for r in records if all(name in r.fields for name in names)]
        groups.setdefault(tuple(r.number for r in own), (condition, own))
    return list(groups.values())


def _importance(
    group: Mapping[str, Any],
    parameters: Sequence[Parameter],
    records: Sequence[TrialRecord],
    metric: str,
    seed: int,
) -> Importance:
    shared = [p for p in parameters if all(p.name in r.fields for r in records)]
    varied = [p for p in shared if _num_values(p, records) > 1]
    constant = [p.name for p in shared if p not in varied]
    reason = _too_little(varied, records, metric)
    if reason:
        return Importance(group=group, num_trials=len(records), reason=reason)
    used = list(records)
    if len(used) > MOST:
        used = random.Random(seed).sample(used, MOST)
    fanova, ped_anova = _shares(varied, used, metric, seed)
    return Importance(
        group=group,
        num_trials=len(records),
        num_used=len(used),
        fanova=fanova,
        ped_anova=ped_anova,
        constant=constant,
    )


def _num_values(parameter: Parameter, records: Sequence[TrialRecord]) -> int:
    # A list of widths has no hash.
    return len({json.dumps(record.fields[parameter.name]) for record in records})


def _too_little(
    varied: Sequence[Parameter], records: Sequence[TrialRecord], metric: str
) -> str:
    """Why nothing can be said, if so."""
    if len(records) < FEWEST:
        return f"they take {FEWEST} trials, and there are {len(records)}."
    if len(varied) < 2:
        return "they compare parameters, and fewer than two vary."
    values = sorted(record.last(metric) for record in records)
    if values[math.ceil(BEST_PART * len(values)) - 1] == values[-1]:
        return f"three quarters of the trials have the same `{metric}`."
    return ""


def _shares(
    parameters: Sequence[Parameter],
    records: Sequence[TrialRecord],
    metric: str,
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
            params={p.name: _placed(p, record.fields[p.name]) for p in parameters},
            distributions=distributions,
            value=record.last(metric),
        )
        for record in records
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
