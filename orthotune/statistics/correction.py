"""P-values corrected for how many there are."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number by Holm's method.

    Whoever rejects where the corrected value is at most alpha rejects a true
    hypothesis with probability alpha at most, however the tests depend on each other.

    Args:
        p_values: One a claim; None, where there was no test, does not count.

    Returns:
        The corrected values in the same order.

    Raises:
        ValueError: If a p-value is not in [0, 1].

    Example:
        >>> [p and round(p, 3) for p in holm([0.01, None, 0.04, 0.03])]
        [0.03, None, 0.06, 0.06]

    References:
        Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    tested = [p for p in p_values if p is not None]
    for p in tested:
        if not 0 <= p <= 1:
            raise ValueError(
                f"`p_values` must lie in [0, 1], but got {p!r}. Give None for a claim "
                "without a test."
            )
    if not tested:
        return list(p_values)
    # Not by statsmodels, which looks through all memory for garbage at every call: in
    # a process with torch and Ray a second of an ablation's every look.
    order = np.argsort(tested, kind="stable")
    steps = np.array(tested)[order] * np.arange(len(tested), 0, -1)
    corrected = np.empty(len(tested))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    following = iter(corrected.tolist())
    return [None if p is None else next(following) for p in p_values]
