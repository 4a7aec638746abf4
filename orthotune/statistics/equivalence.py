"""Whether a mean of paired differences is too small to matter, or too large not to."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import special, stats

from orthotune.statistics.checks import ROUNDING, Array
from orthotune.statistics.paired import PairedDifference, paired
from orthotune.statistics.power import first_enough, seen_spreads


def equivalence_p(difference: PairedDifference, margin: float) -> float | None:
    """P-value of two one-sided tests that a mean difference is within +-`margin`.

    The null hypothesis is that it is not: -margin or less, or margin or more. Each side
    is tested by a one-sided paired t test, and p is the larger of the two, so that
    p <= alpha exactly where the whole (1 - 2 alpha) interval lies inside. At a true
    difference of `margin` it is alpha or less with probability alpha at most, for
    differences that are normal. An arm that diverges now and then, and has not in a few
    seeds, looks the same as one that never does: what `paired` says of it holds here.

    Args:
        difference: What was measured.
        margin: The largest difference that is of no interest.

    Returns:
        None without a margin (0), for n = 1, and for differences that are all equal:
        no spread was seen, and two arms that diverged with every seed are not shown to
        be the same.

    Example:
        >>> found = paired([0.001, -0.002, 0.003, 0.0])
        >>> round(equivalence_p(found, 0.02), 4)
        0.0002
        >>> equivalence_p(found, 0.0) is None
        True

    References:
        Schuirmann, "A comparison of the two one-sided tests procedure and the power
        approach for assessing the equivalence of average bioavailability", Journal of
        Pharmacokinetics and Biopharmaceutics 15, 1987.
    """
    if not margin or not difference.sd:
        return None
    error = difference.sd / math.sqrt(difference.n)
    return float(stats.t.sf((margin - abs(difference.mean)) / error, difference.n - 1))


def paired_beyond(
    differences: Sequence[float] | Array,
    margin: float,
    *,
    confidence: float = 0.95,
    smallest_p: float = 0.001,
) -> PairedDifference:
    """As `paired`, against the nearest of all means that are within +-`margin`.

    Args:
        differences: One number a seed.
        margin: The largest difference that is of no interest.
        confidence: Of the interval.
        smallest_p: As for `paired`.

    Returns:
        The difference; p is 1 for a mean within the margin.

    Example:
        >>> paired_beyond([0.04, 0.05, 0.06], 0.02).against
        0.02
        >>> paired_beyond([0.01, 0.0, 0.02], 0.02).p
        1.0
    """
    nearest = math.copysign(margin, float(np.mean(differences)))
    found = paired(
        differences, against=nearest, confidence=confidence, smallest_p=smallest_p
    )
    inside = abs(found.mean) <= margin + ROUNDING
    return replace(found, p=1.0) if inside and found.p is not None else found


def seeds_to_equivalence(
    difference: PairedDifference,
    margin: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    most: int = 1000,
) -> int | None:
    """Pairs in all after which `equivalence_p` would probably be `alpha` or less.

    As `seeds_needed`, it takes the observed mean and spread for the true ones.

    Args:
        difference: What was measured.
        margin: The largest difference that is of no interest.
        alpha: Level of the test.
        power: Probability with which it must be reached.
        most: Larger numbers are not given.

    Returns:
        The smallest such n; None where there is none up to `most`: for a mean at the
        margin or outside, without a spread, or without a margin.

    Example:
        >>> seeds_to_equivalence(paired([0.02, -0.02, 0.01, -0.01]), 0.02)
        9
        >>> seeds_to_equivalence(paired([0.04, 0.03]), 0.02) is None
        True
    """
    if not difference.sd or abs(difference.mean) >= margin:
        return None
    mean, margin = difference.mean / difference.sd, margin / difference.sd

    def reached(n: int) -> float:
        # The mean must be so many standard errors of the spread seen from both ends.
        clear = stats.t.isf(alpha, n - 1) * seen_spreads(n)
        high = special.ndtr((margin - mean) * math.sqrt(n) - clear)
        low = special.ndtr((-margin - mean) * math.sqrt(n) + clear)
        return float(np.maximum(high - low, 0).mean())

    return first_enough(reached, power, most)
