"""A genetic algorithm for several metrics, of which nothing need be remembered."""

import optuna
from optuna.trial import FrozenTrial, TrialState

POPULATION = 20
"""Trials of a generation."""

PARENTS = 2
"""How many are crossed."""


class Generations(optuna.samplers.NSGAIISampler):
    """NSGA-II whose generations follow from the numbers of the trials.

    Optuna's notes with each trial which one it is of, by what had ended when it was
    suggested: that is in no journal.

    Args:
        seed: Of what it draws.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, population_size=POPULATION)

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """By its number; an earlier one while that has no parents yet."""
        generation = trial.number // POPULATION
        while generation and len(self.get_population(study, generation - 1)) < PARENTS:
            generation -= 1
        return generation

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """The trials of a generation that have ended with a value."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [one for one in complete if one.number // POPULATION == generation]

    def get_parent_population(
        self, study: optuna.Study, generation: int
    ) -> list[FrozenTrial]:
        """The parents of a generation, in the order of their numbers.

        Optuna's come in another order when they are asked for first.
        """
        found = super().get_parent_population(study, generation)
        return sorted(found, key=lambda trial: trial.number)
