"""How arms are tuned anew, all with the same budget.

A random search, of the same draws for every arm: what one arm finds and another does
not is no luck of the searcher. The first draw is the shared setting itself. The trials
have a seed of their own, so that what is chosen with it is judged by other seeds.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orthotune.config.trial import TrialConfig
from orthotune.space.conditions import holds
from orthotune.space.parameters import Parameter


@dataclass(frozen=True, kw_only=True)
class Retune:
    """The budget that every arm is given, and the space it is spent on.

    Args:
        num_trials: Trials an arm, the one at the shared setting included.
        seed: Seed of the draws, and of every trial.
        parameters: What is tuned, in an order in which every condition looks back; a
            condition is on the arm's own configuration.

    Example:
        >>> from orthotune.space.parameters import FloatParameter
        >>> lr = FloatParameter(name="optimizer.lr", low=0.01, high=0.1)
        >>> retune = Retune(num_trials=3, seed=0, parameters=(lr,))
        >>> [sorted(draw) for draw in retune.draws()]
        [[], ['optimizer.lr'], ['optimizer.lr']]
    """

    num_trials: int
    seed: int
    parameters: tuple[Parameter, ...]

    def draws(self) -> list[dict[str, Any]]:
        """Values of all parameters, by name, for every trial of an arm; first none."""
        rng = random.Random(self.seed)
        drawn = [
            {parameter.name: parameter.draw(rng) for parameter in self.parameters}
            for _ in range(self.num_trials - 1)
        ]
        return [{}, *drawn]

    def applied(
        self, draw: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The part of a draw whose conditions an arm meets.

        Args:
            draw: One of `draws`.
            fields: The arm's fields.
        """
        values = TrialConfig.from_dict(fields).to_dict()
        applied: dict[str, Any] = {}
        for parameter in self.parameters:
            met = all(holds(v, values[name]) for name, v in parameter.when.items())
            if met and parameter.name in draw:
                own = parameter.assigned(draw[parameter.name])
                values |= own
                applied |= own
        return applied
