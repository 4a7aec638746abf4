"""Optuna behind Ray Tune's Searcher contract.

Ray's own adapter tells Optuna of an early-stopped trial as if it had run to the end,
leaves a trial with a NaN result running for ever, and passes unresolved objects where
parameters are conditional. Here every trial ends in Optuna as what it was:

============== ================================================================
full budget    COMPLETE with its last value
early-stopped  PRUNED with its intermediate values
diverged       COMPLETE with the worst value, so that the sampler learns from it
error          FAIL
============== ================================================================
"""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    distribution_to_json,
    json_to_distribution,
)
from optuna.trial import TrialState, create_trial
from ray.tune.search import Searcher

from orthotune.training.atomic import atomic_write
from orthotune.training.config import TrialConfig
from orthotune.tuning.search_space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
)
from orthotune.tuning.settings import Study

MAX_DUPLICATES = 200
"""Suggestions in a row that were known already, after which the space counts as
exhausted."""


def config_key(fields: Mapping[str, Any]) -> str:
    """A hash that two configurations share exactly when their results are the same.

    Example:
        >>> config_key({"data.root": "here"}) == config_key({"data.root": "there"})
        True
        >>> config_key({"seed": 1}) == config_key({"seed": 2})
        False
    """
    canonical = TrialConfig.from_dict(fields).canonical()
    text = json.dumps(canonical, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(kw_only=True)
class _Suggested:
    """What is known of a suggested trial: its number in Optuna and its end."""

    number: int
    key: str
    values: dict[int, float] = field(default_factory=dict)
    """The metric by epoch."""
    state: TrialState = TrialState.RUNNING
    value: float | None = None


class OptunaSearcher(Searcher):
    """Suggests configurations of a study by one of Optuna's samplers.

    Conditions are resolved parameter by parameter (define-by-run). A configuration
    whose result is known or under way is not suggested twice; when nothing new comes
    the search ends.

    Args:
        study: What to search; its metric is minimized.
    """

    def __init__(self, study: Study) -> None:
        super().__init__(metric=study.settings.metric, mode=study.settings.mode)
        self._spec = study
        self._trials: dict[str, _Suggested] = {}
        self._by_key: dict[str, _Suggested] = {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            direction="minimize",
            sampler=_sampler(study),
            pruner=optuna.pruners.NopPruner(),
        )

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict, **spec: object
    ) -> bool:
        """Ray's question whether it may set metric, mode and space: they are set."""
        return not config and metric in (None, self.metric) and mode in (None, "min")

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The fields of a new trial, or FINISHED when the space is exhausted."""
        for _ in range(MAX_DUPLICATES):
            trial = self._study.ask()
            values = _suggest(trial, self._spec.space)
            fields = self._spec.trial_fields(values)
            key = config_key(fields)
            twin = self._by_key.get(key)
            if twin is None:
                self._keep(trial_id, _Suggested(number=trial.number, key=key))
                return fields
            self._tell_twin(trial, twin)
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep the metric of an epoch."""
        suggested = self._trials[trial_id]
        if self.metric in result and "epoch" in result:
            suggested.values[int(result["epoch"])] = float(result[self.metric])

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        """Tell Optuna how the trial ended."""
        suggested = self._trials[trial_id]
        if suggested.state != TrialState.RUNNING:
            return
        if result is not None:
            self.on_trial_result(trial_id, result)
        if error or not suggested.values:
            suggested.state = TrialState.FAIL
        else:
            last = max(suggested.values)
            full = last >= self._spec.settings.search.max_epochs
            diverged = bool(result and result.get("diverged"))
            ended = TrialState.COMPLETE if full or diverged else TrialState.PRUNED
            suggested.state, suggested.value = ended, suggested.values[last]
        self._tell(self._running(suggested.number), suggested)

    def save(self, checkpoint_path: str) -> None:
        """Write every trial as JSON: no pickle, readable by the next version."""
        frozen = self._study.get_trials(deepcopy=False)
        trials = [
            {
                "id": trial_id,
                "key": suggested.key,
                "state": suggested.state.name,
                "value": suggested.value,
                "values": suggested.values,
                "params": frozen[suggested.number].params,
                "distributions": {
                    name: distribution_to_json(distribution)
                    for name, distribution in frozen[
                        suggested.number
                    ].distributions.items()
                },
            }
            for trial_id, suggested in self._trials.items()
        ]
        with atomic_write(Path(checkpoint_path)) as file:
            file.write(json.dumps({"format": 1, "trials": trials}).encode())

    def restore(self, checkpoint_path: str) -> None:
        """Rebuild the Optuna study from what `save` wrote."""
        state = json.loads(Path(checkpoint_path).read_text())
        for trial in state["trials"]:
            suggested = _Suggested(
                number=len(self._study.get_trials(deepcopy=False)),
                key=trial["key"],
                values={int(epoch): value for epoch, value in trial["values"].items()},
                state=TrialState[trial["state"]],
                value=trial["value"],
            )
            self._study.add_trial(
                _frozen(suggested, trial["params"], trial["distributions"])
            )
            self._keep(trial["id"], suggested)

    def _keep(self, trial_id: str, suggested: _Suggested) -> None:
        self._trials[trial_id] = self._by_key[suggested.key] = suggested

    def _running(self, number: int) -> optuna.trial.Trial:
        # Numbers and ids agree in the in-memory storage of one study.
        return optuna.trial.Trial(self._study, number)

    def _tell(self, trial: optuna.trial.Trial, suggested: _Suggested) -> None:
        for epoch, value in sorted(suggested.values.items()):
            trial.report(value, epoch)
        complete = suggested.state == TrialState.COMPLETE
        self._study.tell(
            trial,
            values=suggested.value if complete else None,
            state=suggested.state,
        )

    def _tell_twin(self, trial: optuna.trial.Trial, twin: _Suggested) -> None:
        """End a suggestion that repeats another: as that one did, where it ended."""
        if twin.state == TrialState.RUNNING:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._tell(trial, twin)


def _sampler(study: Study) -> optuna.samplers.BaseSampler:
    seed = study.settings.search.seed
    match study.settings.search.searcher:
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        case _:
            with warnings.catch_warnings():
                # `group` is marked experimental; without it conditional parameters
                # would be sampled one by one.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return optuna.samplers.TPESampler(
                    seed=seed, multivariate=True, group=True, constant_liar=True
                )


def _suggest(trial: optuna.trial.Trial, space: SearchSpace) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, values):
            values[parameter.name] = _suggest_one(trial, parameter)
    return values


def _suggest_one(trial: optuna.trial.Trial, parameter: Parameter) -> Any:  # noqa: ANN401
    match parameter:
        case FloatParameter(name=name, low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case IntParameter(name=name, low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case CategoricalParameter(name=name, choices=choices):
            # Optuna stores scalars only: a list of widths goes by its text.
            labels = {json.dumps(choice): choice for choice in choices}
            return labels[trial.suggest_categorical(name, list(labels))]


def _frozen(
    suggested: _Suggested, params: dict[str, Any], distributions: dict[str, str]
) -> optuna.trial.FrozenTrial:
    ended = suggested.state != TrialState.RUNNING
    return create_trial(
        state=suggested.state,
        value=suggested.value,
        params=params,
        distributions={
            name: json_to_distribution(text) for name, text in distributions.items()
        },
        intermediate_values=suggested.values if ended else {},
    )
