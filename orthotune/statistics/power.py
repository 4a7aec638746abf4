"""How many seeds a paired t test needs, and what it detects with those there are."""

import bisect
import math
from collections.abc import Callable

import numpy as np
from scipy import optimize, special, stats

from orthotune.statistics.checks import ROUNDING, Array, check_fraction
from orthotune.statistics.paired import PairedDifference

QUADRATURE_POINTS = 2000


def seeds_needed(
    difference: PairedDifference,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    most: int = 1000,
) -> int | None:
    """Pairs in all after which a paired t test would find an effect like this one.

    It takes the observed mean and spread for the true ones. After few seeds they are
    not, and an effect that caught the eye is likely smaller than it looks: read the
    number as a lower bound of the cost.

    Args:
        difference: What was measured.
        alpha: Two-sided level of the test.
        power: Probability with which it must reject, to the side of the effect.
        most: Larger numbers are not given.

    Returns:
        The smallest such n, pairs measured so far included; for equal differences, the
        n from which `paired` rejects. None where it cannot be told: after one pair,
        for a mean equal to `against`, or above `most`.

    Raises:
        ValueError: If not 0 < `alpha` < `power` < 1.

    Example:
        >>> from orthotune.statistics.paired import paired
        >>> seeds_needed(paired([0.02, -0.01, 0.03, 0.0]))
        29
        >>> seeds_needed(paired([0.02, -0.02])) is None
        True
    """
    _check_power(alpha, power)
    gap = abs(difference.mean - difference.against)
    scale = max(1.0, abs(difference.mean), abs(difference.against))
    if difference.sd is None or gap <= ROUNDING * scale:
        return None
    if difference.sd == 0:
        n = math.ceil(1 - math.log2(alpha))
        return n if n <= most else None
    effect = gap / difference.sd
    return first_enough(lambda n: _power(effect, _thresholds(n, alpha), n), power, most)


def first_enough(
    power_of: Callable[[int], float], power: float, most: int
) -> int | None:
    """The smallest n from 2 to `most` whose power is enough; None if none is.

    Args:
        power_of: The power of n pairs, which grows with n.
        power: What is enough.
        most: The largest n.

    Example:
        >>> first_enough(lambda n: 1 - 1 / n, 0.8, 10)
        5
    """
    candidates = range(2, most + 1)
    index = bisect.bisect_left(candidates, power, key=power_of)
    return candidates[index] if index < len(candidates) else None


def detectable_effect(
    sd: float, n: int, *, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest true mean difference that a paired t test of n pairs detects.

    Args:
        sd: Standard deviation of the differences.
        n: Number of pairs.
        alpha: Two-sided level of the test.
        power: Probability with which it must reject, to the side of the effect.

    Returns:
        The difference, in the unit of `sd`; None for n < 2, and for `sd` = 0: a spread
        that was not seen tells nothing of what would be found.

    Raises:
        ValueError: If `sd` is negative or not finite, or not 0 < `alpha` < `power` < 1.

    Example:
        >>> round(detectable_effect(1.0, 10), 2)
        1.0
    """
    _check_power(alpha, power)
    if not 0 <= sd < math.inf:
        raise ValueError(
            f"`sd` must be a finite number >= 0, but got {sd!r}. Give the standard "
            "deviation of the differences."
        )
    if n < 2 or sd == 0:
        return None
    thresholds = _thresholds(n, alpha)
    # Ten standard errors above the highest threshold nothing is missed.
    enough = (thresholds.max() + 10) / math.sqrt(n)
    found = optimize.root_scalar(
        lambda effect: _power(effect, thresholds, n) - power, bracket=(0, enough)
    )
    return sd * float(found.root)


def _check_power(alpha: float, power: float) -> None:
    check_fraction("alpha", alpha)
    check_fraction("power", power)
    if power <= alpha:
        raise ValueError(
            f"`power` must be above `alpha`, {alpha!r}, but got {power!r}. A test "
            "rejects that often where there is nothing to find."
        )


def _thresholds(n: int, alpha: float) -> Array:
    """What mean / (sd of one / sqrt(n)) must exceed to be found, over the spreads seen.

    t rejects above its quantile times the observed standard deviation.
    """
    return stats.t.isf(alpha / 2, n - 1) * seen_spreads(n)


def seen_spreads(n: int) -> Array:
    """Equally likely observed standard deviations of n numbers with a true one of 1.

    A chi variable. Averaging over it in place of asking scipy for a noncentral t, which
    is NaN or stops with an error far from 0.

    Args:
        n: How many numbers, 2 or more.

    Example:
        >>> round(float((seen_spreads(5) ** 2).mean()), 2)
        1.0
    """
    quantiles = (np.arange(QUADRATURE_POINTS) + 0.5) / QUADRATURE_POINTS
    return np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))


def _power(effect: float, thresholds: Array, n: int) -> float:
    """Probability to find a mean of `effect` standard deviations, to its side."""
    return float(special.ndtr(effect * math.sqrt(n) - thresholds).mean())
