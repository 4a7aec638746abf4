"""Optuna suggests the trials of a study to Ray Tune.

Ray's own adapter tells Optuna of an early-stopped trial as if it had run to the end,
leaves a trial with a NaN result running for ever, and passes unresolved objects where
parameters are conditional. Here every trial ends in Optuna as what it was:

============== ================================================================
full budget    COMPLETE with its last value
early-stopped  PRUNED with its last value
diverged       COMPLETE with the worst value, so that the sampler learns from it
out of memory  the same
error          FAIL
============== ================================================================

Optuna is also told the values that a trial was given and does not read, a penalty's
weight without a penalty (`in_effect`), where the file has no condition on it. Without
them its samplers would take the weight for conditional: TPE would draw it by itself
and not together with the rest, the Gaussian process at random.

The study in Optuna is rebuilt from the journal at every start, and nothing of a sampler
outlives one suggestion: each is drawn by a new one, seeded by the study's seed and the
trial's number. So a continued study goes on as it would have without the break.
"""

import hashlib
import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from orthotune.config.metrics import reportable
from orthotune.record.identity import Fingerprints, trial_key
from orthotune.record.journal import Journal
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
)
from orthotune.tune.assignment import ended_as
from orthotune.tune.record_searcher import Assign, RecordSearcher
from orthotune.tune.stopper import StudyStopper

MAX_DUPLICATES = 200
"""Suggestions in a row that were known already, after which the space counts as
exhausted; the second half of them is drawn at random."""

_STATES = {
    Status.WAITING: TrialState.RUNNING,
    Status.RUNNING: TrialState.RUNNING,
    Status.INTERRUPTED: TrialState.RUNNING,
    Status.FINISHED: TrialState.COMPLETE,
    Status.DIVERGED: TrialState.COMPLETE,
    Status.OOM: TrialState.COMPLETE,
    Status.STOPPED: TrialState.PRUNED,
    Status.FAILED: TrialState.FAIL,
}


class OptunaSearcher(RecordSearcher):
    """Suggests the trials of a study: those a session left open, then new ones.

    Conditions are resolved parameter by parameter (define-by-run). A configuration
    that the journal knows is not suggested twice; when nothing new comes the search
    ends.

    Args:
        study: What to search; its metric is minimized.
        journal: The trials so far; every new one is added before it is suggested.
        fingerprints: The data's.
        assign: Gives what a trial is told, as an `assignment`.
        limit: Gives how many trials may be under way now; at least 1.
        stopper: Told when the journal cannot be written.
        on_resume: Called with a record and the name Ray gives it now, before a trial of
            an earlier session goes on.
    """

    def __init__(
        self,
        study: Study,
        journal: Journal,
        *,
        fingerprints: Fingerprints,
        assign: Assign,
        limit: Callable[[], float],
        stopper: StudyStopper,
        on_resume: Callable[[TrialRecord, str], None],
    ) -> None:
        metric = study.settings.metric
        super().__init__(
            journal.open, metric, assign=assign, limit=limit, stopper=stopper
        )
        self._study = study
        self._journal = journal
        self._fingerprints = fingerprints
        self._on_resume = on_resume
        self._keys = {record.key for record in journal.records}
        self._optuna_trials: dict[int, optuna.trial.Trial] = {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna.create_study(
            direction="minimize", pruner=optuna.pruners.NopPruner()
        )
        for record in journal.records:
            if record.validates is None:  # the others are no suggestions
                self._rebuild(record)

    def _next(self, trial_id: str) -> TrialRecord | None:
        record = super()._next(trial_id)
        if record is None:
            return self._new()
        self._on_resume(record, trial_id)
        return record

    def draw(self, count: int) -> None:
        """Add trials to the journal until there are `count`, or no new ones.

        For a population, which Ray does not let a searcher suggest.
        """
        while len(self._journal) < count and not self._journal.exhausted:
            self._new()

    def _ended(self, number: int, result: dict[str, Any], *, error: bool) -> None:
        """Tell Optuna how the trial ended."""
        trial = self._optuna_trials.pop(number, None)
        if trial is None:
            return
        record = self._journal[number]
        status = ended_as(self._journal, number, result)
        status = Status.FAILED if error else status
        for epoch, value in self._last(record).items():
            trial.report(value, epoch)
        state = _STATES[status]
        value = self._value(record, status) if state == TrialState.COMPLETE else None
        self._optuna.tell(trial, values=value, state=state)

    @property
    def _metric_name(self) -> str:
        return self._study.settings.metric

    def _new(self) -> TrialRecord | None:
        """A trial whose result is not known; None if there is none left."""
        number = len(self._journal)
        for attempt in range(MAX_DUPLICATES):
            self._optuna.sampler = _sampler(self._study, number, attempt)
            trial = self._optuna.ask()
            values = _suggest(trial, self._study.space)
            fields = self._study.trial_fields(values)
            key = trial_key(fields, self._fingerprints)
            if key not in self._keys:
                record = self._journal.suggest(key, fields)
                self._keys.add(key)
                self._optuna_trials[number] = trial
                return record
            # Samplers do not read failed trials.
            self._optuna.tell(trial, state=TrialState.FAIL)
        self._journal.exhaust()
        return None

    def _rebuild(self, record: TrialRecord) -> None:
        """Add a trial of the journal to the study, as it stood."""
        self._optuna.add_trial(self._frozen(record))
        if not record.status.ended:
            # Numbers and ids agree in the in-memory storage of one study.
            number = len(self._optuna.get_trials(deepcopy=False)) - 1
            trial = optuna.trial.Trial(self._optuna, number)
            self._optuna_trials[record.number] = trial

    def _frozen(self, record: TrialRecord) -> FrozenTrial:
        state = _STATES[record.status]
        active = [p for p in self._study.space.parameters if p.name in record.fields]
        complete = state == TrialState.COMPLETE
        return create_trial(
            state=state,
            value=self._value(record, record.status) if complete else None,
            params={p.name: _internal(p, record.fields[p.name]) for p in active},
            distributions={p.name: _distribution(p) for p in active},
            intermediate_values=self._last(record) if record.status.ended else {},
        )

    def _last(self, record: TrialRecord) -> dict[int, float]:
        """The last epoch's value, by the epoch: samplers read no other."""
        known = record.history
        return {record.epoch: record.last(self._metric_name)} if known else {}

    def _value(self, record: TrialRecord, status: Status) -> float:
        """The metric v as v / (1 + v), in [0, 1] and never NaN, which Optuna refuses.

        In the same order; but a loss of a million, as a diverged trial has, would make
        all others one and the same to the Gaussian process, which sees differences.
        """
        name, worst = self._metric_name, status in (Status.DIVERGED, Status.OOM)
        value = math.nan if status == Status.OOM else record.last(name)
        value = reportable(name, value, diverged=worst)
        return value / (1.0 + value)


def _sampler(study: Study, number: int, attempt: int) -> optuna.samplers.BaseSampler:
    """A sampler for one suggestion."""
    text = f"{study.settings.search.seed}/{number}/{attempt}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    random = attempt >= MAX_DUPLICATES // 2
    match "random" if random else study.settings.search.searcher:
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
            labels = {_label(choice): choice for choice in choices}
            return labels[trial.suggest_categorical(name, list(labels))]


def _distribution(parameter: Parameter) -> BaseDistribution:
    match parameter:
        case FloatParameter(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case IntParameter(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step)
        case CategoricalParameter(choices=choices):
            return CategoricalDistribution([_label(choice) for choice in choices])


def _internal(parameter: Parameter, value: Any) -> Any:  # noqa: ANN401 - of any kind
    if not isinstance(parameter, CategoricalParameter):
        return value
    # As the file has it: 0 in a file is 0.0 in a configuration.
    return _label(parameter.choices[parameter.choices.index(value)])


def _label(choice: object) -> str:
    # Optuna stores scalars only: a list of widths goes by its text.
    return json.dumps(choice)
