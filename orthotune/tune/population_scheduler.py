"""Ray's scheduler of a population, restored to where its members are."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.schedulers import PopulationBasedTraining

from orthotune.record.study_definition import Study
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    Parameter,
)


def population_scheduler(
    study: Study, epochs: Sequence[int]
) -> PopulationBasedTraining:
    """Ray's scheduler for members that have finished given epochs.

    Perturbed values stay within the space. Ray draws who copies whom, and how, from
    Python's global generator, which other threads share: no seed repeats a population.
    What each member lived through is recorded, and that can be repeated.

    Args:
        study: The study.
        epochs: The epochs that each member has finished.
    """
    every = study.settings.search.perturbation_epochs
    return PopulationBasedTraining(
        time_attr="epoch",
        metric=study.settings.metric,
        mode=study.settings.mode,
        perturbation_interval=every,
        # The next comparison that nobody has passed; those before are history.
        burn_in_period=-(-max(epochs, default=0) // every) * every,
        hyperparam_mutations={
            parameter.name: _mutation(parameter) for parameter in study.space.parameters
        },
        custom_explore_fn=lambda config: _within(study, config),
        log_config=False,
        require_attrs=False,  # a result that says why there is none has no epoch
        synch=True,
    )


def _mutation(parameter: Parameter) -> list[Any] | Callable[[], Any]:
    """What Ray perturbs a setting by: its neighbours in a list, or else factors."""
    if isinstance(parameter, CategoricalParameter):
        return list(parameter.choices)
    if parameter.step is None:
        rng = random.Random()
        return lambda: float(parameter.draw(rng))
    grid = [parameter.low + parameter.step * k for k in range(int(parameter.size))]
    return [float(min(parameter.high, value)) for value in grid]


def _within(study: Study, config: dict[str, Any]) -> dict[str, Any]:
    """A perturbed config whose settings are in the space."""
    for parameter in study.space.parameters:
        if isinstance(parameter, FloatParameter):
            low, high = parameter.low, parameter.high
            # Not an integer, which a bound may be: Ray would round what follows.
            value = float(min(high, max(low, config[parameter.name])))
            config[parameter.name] = value
    return config
