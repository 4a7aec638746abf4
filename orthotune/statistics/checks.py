"""Checks of the numbers that statistics are given."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Numbers closer than this (relative, from 1 on) are equal: metrics are of order one
in double precision, and 0.31 - 0.30 is not 0.11 - 0.10 to the last bit."""


def finite(name: str, values: Sequence[float] | Array) -> Array:
    """Numbers as an array `(n,)`.

    Args:
        name: What the caller calls them.
        values: The numbers.

    Raises:
        ValueError: If there is none, or one is not finite.

    Example:
        >>> finite("differences", [0.1, 0.2])
        array([0.1, 0.2])
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f"`{name}` must be a row of one number or more, but got shape "
            f"{array.shape}. Give one number a seed."
        )
    if not np.isfinite(array).all():
        index = int(np.argmin(np.isfinite(array)))
        raise ValueError(
            f"`{name}` must be finite, but got {array[index]} at index {index}. Give a "
            "diverged replicate the worst value of the metric."
        )
    return array


def check_fraction(name: str, value: float) -> None:
    """Refuse what is not between 0 and 1.

    Args:
        name: What the caller calls it.
        value: The number.

    Raises:
        ValueError: If it is not.
    """
    if not 0 < value < 1:
        raise ValueError(
            f"`{name}` must lie between 0 and 1, but got {value!r}. Write 5 % as 0.05."
        )
