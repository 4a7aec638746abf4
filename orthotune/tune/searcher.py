"""Optuna suggests the trials of a study to Ray Tune.

Ray's own adapter tells Optuna of an early-stopped trial as if it had run to the end,
leaves a trial with a NaN result running for ever, and passes unresolved objects where
parameters are conditional. Here every trial ends in Optuna as what it was:

============== ================================================================
full budget    COMPLETE with its last value
early-stopped  PRUNED with its last value, also while an audit runs it on
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

import contextlib
import hashlib
import random
import statistics
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.record.warm_start import WarmStart
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from orthotune.space.search_space import SearchSpace
from orthotune.tune.assignment import ended_as
from orthotune.tune.distributions import distribution, meant, told
from orthotune.tune.generations import Generations
from orthotune.tune.objectives import told_value
from orthotune.tune.sequence_searcher import SequenceSearcher
from orthotune.tune.study_searcher import MAX_DUPLICATES, StudySearcher

MAX_VIOLATIONS = 20
"""Suggestions of a sampler for one trial, after which a space with constraints is drawn
from at random."""

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


def build_searcher(study: Study, *args: Any, **kwargs: Any) -> StudySearcher:  # noqa: ANN401
    """The searcher that a study names, with what its journal knows.

    Args:
        study: The study.
        *args: As of `StudySearcher`.
        **kwargs: Likewise.
    """
    ordered = study.settings.search.searcher in ("grid", "qmc")
    kind = SequenceSearcher if ordered else OptunaSearcher
    return kind(study, *args, **kwargs)


class OptunaSearcher(StudySearcher):
    """Suggests the trials of a study by a sampler of Optuna; arguments as its base's.

    What is taken from earlier studies comes first: their best are tried; the results of
    their trials are known before the first suggestion, and none of it repeats one.

    Conditions are resolved parameter by parameter (define-by-run). Of the suggestions
    those that meet the constraints are taken; the sampler is told how much room each
    trial left, of which the Gaussian process makes a model.
    """

    def __init__(self, study: Study, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(study, *args, **kwargs)
        self._warm_start = study.warm_start or WarmStart()
        self._keys |= {one.key for one in self._warm_start.told}
        self._optuna_trials: dict[int, optuna.trial.Trial] = {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._objectives = study.settings.objectives
        self._optuna = self._study_of_optuna()
        for one in self._warm_start.told:
            self._optuna.add_trial(self._frozen(one.record))
        for record in self._journal.records:
            if record.validates is None:  # the others are no suggestions
                self._rebuild(record)

    def _study_of_optuna(self) -> optuna.Study:
        return optuna.create_study(
            directions=[StudyDirection.MINIMIZE] * len(self._objectives),
            pruner=optuna.pruners.NopPruner(),
        )

    def _ended(self, number: int, result: dict[str, Any], *, error: bool) -> None:
        """Tell Optuna how the trial ended; one of an audit has ended before."""
        self._tell_condemned()
        trial = self._optuna_trials.pop(number, None)
        if trial is None:
            return
        record = self._journal[number]
        status = ended_as(self._journal, number, result)
        status = Status.FAILED if error else status
        for epoch, value in self._last(record).items():
            trial.report(value, epoch)
        state = _STATES[status]
        complete = state == TrialState.COMPLETE
        values = self._values(record, status) if complete else None
        self._optuna.tell(trial, values=values, state=state)

    @property
    def _genetic(self) -> bool:
        return self._study.settings.search.searcher == "nsga2"

    def _tell_condemned(self) -> None:
        """Tell Optuna of the trials that were stopped for all but an audit."""
        for number in list(self._optuna_trials):
            record = self._journal[number]
            if record.audit is not None:
                trial = self._optuna_trials.pop(number)
                for epoch, value in self._last(record).items():
                    trial.report(value, epoch)
                self._optuna.tell(trial, state=TrialState.PRUNED)

    def _new(self) -> TrialRecord | None:
        self._tell_condemned()
        for one in self._warm_start.tried:
            values = dict(one.values)
            key = self._key(values)
            if key not in self._keys:
                record = self._suggested(key, values)
                self._rebuild(record)
                return record
        number = len(self._journal)
        apart = self._study.space.constraints or self._genetic
        found = self._allowed(number) if apart else self._free(number)
        for trial, values in found:
            key = self._key(values)
            if key not in self._keys:
                record = self._suggested(key, values)
                if trial is None:
                    self._rebuild(record)
                else:
                    self._optuna_trials[number] = trial
                return record
        self._journal.exhaust()
        return None

    def _free(self, number: int) -> Iterator[tuple[optuna.trial.Trial, dict[str, Any]]]:
        """Suggestions for one trial, one after another."""
        for attempt in range(MAX_DUPLICATES):
            self._optuna.sampler = _sampler(self._study, number, attempt)
            trial = self._optuna.ask()
            yield trial, _suggest(trial, self._study.space)
            # Samplers do not read failed trials.
            self._optuna.tell(trial, state=TrialState.FAIL)

    def _allowed(self, number: int) -> Iterator[tuple[None, dict[str, Any]]]:
        """Suggestions for one trial that meet the constraints, if there are any.

        What is learned of those that do not is forgotten with them, as they are in no
        journal that a continued study could be rebuilt from; and which parents a
        genetic algorithm has chosen among the trials that had ended.
        """
        space, seed = self._study.space, self._study.settings.search.seed
        study = self._study_of_optuna()
        study.add_trials(self._optuna.get_trials(deepcopy=False))
        for attempt in range(MAX_DUPLICATES):
            if attempt >= MAX_VIOLATIONS:
                yield None, space.draw(random.Random(f"{seed}/{number}/{attempt}"))
                continue
            study.sampler = _sampler(self._study, number, attempt)
            trial = study.ask()
            values = _suggest(trial, space)
            if space.allows(values):
                yield None, values
                study.tell(trial, state=TrialState.FAIL)
            else:
                self._tell_violation(study, trial, values)

    def _tell_violation(
        self, study: optuna.Study, trial: optuna.trial.Trial, values: dict[str, Any]
    ) -> None:
        """Tell a Gaussian process what a suggestion violates, or it suggests it again.

        With a value that says nothing, as it has none.
        """
        excesses = {}
        if self._study.settings.search.searcher == "gp":
            with contextlib.suppress(ArithmeticError):  # it divides by 0
                excesses = self._excesses(values)
        done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if not done or max(excesses.values(), default=0.0) <= 0:
            study.tell(trial, state=TrialState.FAIL)
            return
        for name, excess in excesses.items():
            trial.set_constraint(name, excess)
        study.tell(trial, statistics.median(one.value or 0.0 for one in done))

    def _excesses(self, values: Mapping[str, Any]) -> dict[str, float]:
        """How far a configuration is within the bounds of the constraints."""
        known = {**self._study.space.fixed, **values}
        return {
            f"{number}.{side}": excess
            for number, constraint in enumerate(self._study.space.constraints)
            for side, excess in enumerate(constraint.excesses(known))
        }

    def _rebuild(self, record: TrialRecord) -> None:
        """Add a trial of the journal to the study, as it stood."""
        self._optuna.add_trial(self._frozen(record))
        if not _is_over(record):
            # Numbers and ids agree in the in-memory storage of one study.
            number = len(self._optuna.get_trials(deepcopy=False)) - 1
            trial = optuna.trial.Trial(self._optuna, number)
            self._optuna_trials[record.number] = trial

    def _frozen(self, record: TrialRecord) -> FrozenTrial:
        audited = record.audit is not None
        state = TrialState.PRUNED if audited else _STATES[record.status]
        complete = state == TrialState.COMPLETE
        return create_trial(
            state=state,
            values=self._values(record, record.status) if complete else None,
            intermediate_values=self._last(record) if _is_over(record) else {},
            constraints=self._excesses(record.fields),
            **self._params(record.fields),
        )

    def _params(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that a configuration has, for a trial of Optuna's."""
        active = [
            parameter
            for parameter in self._study.space.parameters
            if all(name in fields for name in parameter.fields)
        ]
        return {
            "params": {p.name: told(p, p.value_in(fields)) for p in active},
            "distributions": {p.name: distribution(p) for p in active},
        }

    def _last(self, record: TrialRecord) -> dict[int, float]:
        """The last epoch's value, by the epoch: samplers read no other.

        Of several metrics none: Optuna has no such values for them.
        """
        known = record.history and not self._objectives[1:]
        return {record.epoch: record.last(self._objectives[0])} if known else {}

    def _values(self, record: TrialRecord, status: Status) -> list[float]:
        """The metrics as Optuna is told them, in [0, 1] and never NaN."""
        worst = status in (Status.DIVERGED, Status.OOM)
        return [
            told_value(name, None if worst else record.last(name))
            for name in self._objectives
        ]


def _is_over(record: TrialRecord) -> bool:
    """Whether a trial has ended for the sampler."""
    return record.status.ended or record.audit is not None


def _sampler(study: Study, number: int, attempt: int) -> optuna.samplers.BaseSampler:
    """A sampler for one suggestion."""
    text = f"{study.settings.search.seed}/{number}/{attempt}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    at_random = attempt >= MAX_DUPLICATES // 2
    match "random" if at_random else study.settings.search.searcher:
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "nsga2":
            return Generations(seed)
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
            values |= parameter.assigned(_suggest_one(trial, parameter))
    return values


def _suggest_one(trial: optuna.trial.Trial, parameter: Parameter) -> Any:  # noqa: ANN401
    match parameter:
        case FloatParameter(name=name, low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case IntParameter(name=name, low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case CategoricalParameter(name=name, choices=choices):
            labels = [told(parameter, choice) for choice in choices]
            return meant(parameter, trial.suggest_categorical(name, labels))
