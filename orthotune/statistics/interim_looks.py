"""Interim looks at a comparison that grows by seeds: when, and at which level.

Imports nothing heavy: a file is checked before anything is loaded.
"""

import math


def looks(initial: int, maximum: int) -> tuple[int, ...]:
    """The numbers of seeds at which a growing comparison is looked at.

    Each is about half as large again as the one before, in equal ratios, so that the
    last step is not a stub.

    Args:
        initial: Seeds at the first look, at least 2.
        maximum: Seeds at the last look.

    Raises:
        ValueError: If not 2 <= `initial` <= `maximum`.

    Example:
        >>> looks(5, 30)
        (5, 8, 12, 19, 30)
    """
    if initial < 2:
        raise ValueError(
            f"`initial` must be >= 2, but got {initial!r}. One pair has no spread to "
            "test."
        )
    if maximum < initial:
        raise ValueError(
            f"`maximum` must be >= `initial`, {initial}, but got {maximum!r}. Raise "
            "it, or start with fewer seeds."
        )
    growth = maximum / initial
    num_steps = max(1, round(math.log(growth) / math.log(1.5)))
    ns = {round(initial * growth ** (i / num_steps)) for i in range(num_steps + 1)}
    return tuple(sorted(ns))


def level_per_look(alpha: float, num_looks: int) -> float:
    """The level of each look at which all looks together have the level `alpha`.

    Bonferroni: alpha / num_looks, over the looks that are planned, used or not. It
    needs nothing but a valid test at each look, whatever makes the seeds stop growing;
    Pocock's constant (0.016 in place of 0.01 for five looks) would, but is derived for
    normal means of known variance, not for t with 4 degrees of freedom or signs.

    It goes with Holm's method: to judge Holm-corrected p-values at this level, each
    claim with the p-value of the look at which it stopped, keeps the error of all
    claims together below `alpha`. The first true hypothesis to be rejected has, at one
    of the looks, a p-value of alpha / num_looks / (number of true hypotheses) or less,
    and as many looks times hypotheses can do that. Likewise intervals with confidence
    1 - level_per_look cover at the look that happens to be the last with 1 - alpha at
    least: they do so at all looks at once.

    Args:
        alpha: Level of all looks together.
        num_looks: Number of looks planned.

    Raises:
        ValueError: If `alpha` is not between 0 and 1 or there is no look.

    Example:
        >>> level_per_look(0.05, len(looks(5, 30)))
        0.01
    """
    if not 0 < alpha < 1:
        raise ValueError(
            f"`alpha` must lie between 0 and 1, but got {alpha!r}. Write 5 % as 0.05."
        )
    if num_looks < 1:
        raise ValueError(
            f"`num_looks` must be >= 1, but got {num_looks!r}. Give the number of "
            "looks that are planned."
        )
    return alpha / num_looks
