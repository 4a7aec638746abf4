"""Suggests configurations in an order that no result changes: a grid, or quasi-random.

The order is the same in every session, so that a continued study takes the first of it
that its journal does not know.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import optuna

from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.space.search_space import MAX_DRAWS, SearchSpace
from orthotune.tune.distributions import distribution, meant
from orthotune.tune.study_searcher import MAX_DUPLICATES, StudySearcher

MAX_GRID = 1_000_000
"""More than a study file may ask for."""


class SequenceSearcher(StudySearcher):
    """Suggests the trials of `grid` or `qmc`; arguments as `StudySearcher`."""

    def __init__(self, study: Study, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(study, *args, **kwargs)
        self._rest = sequence(study)
        self._passed: set[str] = set()

    def _new(self) -> TrialRecord | None:
        known = 0
        for values in self._rest:
            key = self._key(values)
            # What the journal knows of an earlier session is passed first.
            known = known + 1 if key in self._passed else 0
            self._passed.add(key)
            if key not in self._keys:
                return self._suggested(key, values)
            if known == MAX_DUPLICATES:
                break
        self._journal.exhaust()
        return None


def sequence(study: Study) -> Iterator[dict[str, Any]]:
    """The configurations of a study, all or without end, in their order.

    Args:
        study: One that is searched by `grid` or `qmc`.
    """
    search, space = study.settings.search, study.space
    if search.searcher == "grid":
        return iter(space.combinations(MAX_GRID) or [])
    return _quasi_random(space, search.seed)


def _quasi_random(space: SearchSpace, seed: int) -> Iterator[dict[str, Any]]:
    """The points of a scrambled Sobol sequence that meet the constraints.

    Every parameter has an axis, which is read where the parameter exists: so a
    condition leaves the other parameters as evenly spread as they were.
    """
    axes = {parameter.name: distribution(parameter) for parameter in space.parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.QMCSampler(seed=seed, scramble=True)
    study = optuna.create_study(sampler=sampler)  # where Optuna counts the points
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    ruled_out = 0
    while ruled_out < MAX_DRAWS:
        point = sampler.sample_relative(study, trial, axes)
        values: dict[str, Any] = {}
        for parameter in space.parameters:
            if space.is_active(parameter, values):
                own = meant(parameter, point[parameter.name])
                values |= parameter.assigned(own)
        if space.allows(values):
            ruled_out = 0
            yield values
        else:
            ruled_out += 1
