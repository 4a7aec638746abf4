"""An interval for how many of a number are so, of which a sample was looked at."""

MOST = 10_000_000
"""Probabilities to compute, above which the sample is taken for one of infinitely
many: the interval is then a little wider than it need be."""


def exact_count_interval(
    count: int, number: int, of: int, confidence: float = 0.95
) -> tuple[int, int]:
    """From how many to how many are so, if a random sample was looked at.

    All numbers under which what was seen belongs to the likelier outcomes, which
    together have the confidence (Sterne, Biometrika 41, 1954; of draws without
    replacement). Whatever the number is, such intervals hold it at least as often as
    their confidence says.

    Args:
        count: How many of the sample are so.
        number: The size of the sample.
        of: Of how many it was drawn.
        confidence: How often such intervals hold the number, at least.

    Returns:
        The least and the most.

    Example:
        >>> exact_count_interval(0, 20, 100), exact_count_interval(3, 10, 30)
        ((0, 14), (4, 17))
        >>> exact_count_interval(3, 10, 10), exact_count_interval(0, 0, 30)
        ((3, 3), (0, 30))
    """
    # Here: a report of a study that was not audited needs no statistics.
    import numpy as np
    from scipy.stats import hypergeom

    if of * number > MOST:
        return _of_infinitely_many(count, number, of, confidence)
    possible = np.arange(count, of - (number - count) + 1)
    seen = np.arange(number + 1)
    chances = hypergeom.pmf(seen[None, :], of, possible[:, None], number)
    # As likely but for rounding is as likely.
    ours = chances[:, count, None] * (1 + 1e-9)
    as_unlikely = np.where(chances <= ours, chances, 0.0).sum(axis=1)
    held = possible[as_unlikely > 1 - confidence]
    return int(held.min()), int(held.max())


def _of_infinitely_many(
    count: int, number: int, of: int, confidence: float
) -> tuple[int, int]:
    """By Clopper and Pearson, rounded outwards."""
    import math

    import numpy as np
    from statsmodels.stats.proportion import proportion_confint

    ends = proportion_confint(count, number, alpha=1 - confidence, method="beta")
    low, high = np.asarray(ends, dtype=np.float64).tolist()
    return math.floor(low * of), math.ceil(high * of)
