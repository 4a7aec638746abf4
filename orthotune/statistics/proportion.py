"""An interval for a share of which a sample was looked at."""


def exact_interval(
    count: int, number: int, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval of Clopper and Pearson (Biometrika 26, 1934) for a probability.

    It holds the probability at least as often as its confidence says, whatever that
    probability is; of small samples more often.

    Args:
        count: How often it was so.
        number: Of how many.
        confidence: How often such intervals hold the probability, at least.

    Returns:
        Both ends; 0 and 1 if nothing was looked at.

    Example:
        >>> exact_interval(0, 10)[0], round(exact_interval(0, 10)[1], 4)
        (0.0, 0.3085)
        >>> exact_interval(0, 0)
        (0.0, 1.0)
    """
    if not number:
        return 0.0, 1.0
    # Here: a report of a study that was not audited needs no statistics.
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(count, number, alpha=1 - confidence, method="beta")
    return float(low), float(high)
