"""Pareto fronts of points of which every number is better when smaller.

Letters: `N` points, `M` metrics.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def on_front(points: ArrayLike) -> list[bool]:
    """Whether no other point is as good in every metric and better in one.

    Args:
        points: Of shape `(N, M)`.

    Example:
        >>> on_front([(1, 3), (2, 2), (2, 3), (1, 3)])
        [True, True, False, True]
    """
    found = np.asarray(points, dtype=float)
    return [
        not bool(np.any(np.all(found <= one, axis=1) & np.any(found < one, axis=1)))
        for one in found
    ]


def hypervolume(points: ArrayLike, reference: Sequence[float]) -> float:
    """The volume of what some points dominate, up to a reference point.

    Exact, slab by slab along the last metric.

    Args:
        points: Of shape `(N, M)`; those beyond the reference count nothing.
        reference: `M` numbers.

    Example:
        >>> hypervolume([(0, 0.5), (0.5, 0)], [1, 1])
        0.75
        >>> hypervolume([], [1, 1])
        0.0
    """
    found = np.asarray(points, dtype=float).reshape(-1, len(reference))
    found = found[np.all(found < np.asarray(reference), axis=1)]
    if len(found) == 0:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - found.min())
    found = found[np.argsort(found[:, -1], kind="stable")]
    tops = [*found[1:, -1], reference[-1]]
    heights = np.asarray(tops) - found[:, -1]
    return sum(
        height * hypervolume(found[: count + 1, :-1], reference[:-1])
        for count, height in enumerate(heights.tolist())
        if height > 0
    )


def spread(points: ArrayLike, count: int) -> list[int]:
    """So many points of a front, spread over it.

    One after another the point is left out without which the front loses the least
    hypervolume, each metric scaled to [0, 1] and the reference as far off again.

    Args:
        points: Of shape `(N, M)`.
        count: How many.

    Returns:
        Their places among the points, in order.

    Example:
        >>> spread([(0, 1), (0.01, 0.98), (0.5, 0.5), (1, 0)], 3)
        [0, 2, 3]
    """
    found = np.asarray(points, dtype=float)
    left = list(range(len(found)))
    if len(left) <= count:
        return left
    span = np.ptp(found, axis=0)
    scaled = (found - found.min(axis=0)) / np.where(span > 0, span, 1.0)
    reference = [2.0] * found.shape[1]
    while len(left) > count:
        without = [
            hypervolume(scaled[[other for other in left if other != one]], reference)
            for one in left
        ]
        left.pop(int(np.argmax(without)))
    return left
