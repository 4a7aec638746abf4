"""Main effects and interactions of a factorial design, seed by seed."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orthotune.statistics.checks import Array, finite

Cell = tuple[int, ...]
"""The level index of every factor, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A main effect or a two-way interaction of a factorial design.

    Args:
        steps: One (factor, level) for a main effect, two for an interaction: the index
            of the factor, and the level that is compared with its level 0.
        values: One number a seed, for `paired`.
    """

    steps: tuple[tuple[int, int], ...]
    values: tuple[float, ...]


def factorial_contrasts(
    cells: Mapping[Cell, Sequence[float] | Array],
) -> tuple[Contrast, ...]:
    """Main effects and two-way interactions of a full factorial, seed by seed.

    With the mean over the levels of all other factors written as a bar, a main effect
    of level `a` of a factor and its interaction with level `b` of another are

        y(a) - y(0)   and   (y(a, b) - y(0, b)) - (y(a, 0) - y(0, 0)).

    The interaction is the whole difference of the differences, not its half as where
    levels are coded -1 and 1. Each is one number a seed, so that what the seed does to
    all cells drops out, and `paired` tests it.

    Args:
        cells: The metric of every combination of levels: the key holds the level index
            of each factor from 0 on, the value one number a seed, in the same order.

    Returns:
        All main effects, then all interactions, in the order of factors and levels.

    Raises:
        ValueError: If a combination is missing, a factor has one level, a key is not of
            the others' length, or cells differ in their number of seeds.

    Example:
        >>> cells = {(0, 0): [1.0, 2.0], (0, 1): [2.0, 3.0],
        ...          (1, 0): [4.0, 5.0], (1, 1): [9.0, 9.0]}
        >>> for contrast in factorial_contrasts(cells):
        ...     print(contrast.steps, contrast.values)
        ((0, 1),) (5.0, 4.5)
        ((1, 1),) (3.0, 2.5)
        ((0, 1), (1, 1)) (4.0, 3.0)
    """
    array = _stack(cells)
    steps = [
        (factor, level)
        for factor, num_levels in enumerate(array.shape[:-1])
        for level in range(1, num_levels)
    ]
    pairs = [(a, b) for a, b in itertools.combinations(steps, 2) if a[0] != b[0]]
    return tuple(
        Contrast(steps=chosen, values=_contrast(array, chosen))
        for chosen in [*((step,) for step in steps), *pairs]
    )


def _stack(cells: Mapping[Cell, Sequence[float] | Array]) -> Array:
    """All cells as one array of shape (levels of factor 0, ..., seeds)."""
    shape = _num_levels(list(cells))
    rows = {}
    for cell in itertools.product(*map(range, shape)):
        if cell not in cells:
            raise ValueError(
                f"`cells` must hold every combination of levels, but got no {cell}. "
                "Train that arm, or leave a level out."
            )
        rows[cell] = finite(f"cells[{cell}]", cells[cell])
    num_seeds = next(iter(rows.values())).size
    for cell, row in rows.items():
        if row.size != num_seeds:
            raise ValueError(
                f"`cells` must hold equally many seeds, {num_seeds} as the first, but "
                f"got {row.size} in {cell}. Train the missing ones."
            )
    return np.stack(list(rows.values())).reshape(*shape, num_seeds)


def _num_levels(keys: list[Cell]) -> tuple[int, ...]:
    lengths = {len(key) for key in keys}
    if len(lengths) != 1 or 0 in lengths or min(map(min, keys)) < 0:
        raise ValueError(
            "`cells` must have keys with one level index >= 0 for each factor, but got "
            f"{keys}. Write (0, 1) for level 0 of the first factor, 1 of the second."
        )
    shape = tuple(1 + max(levels) for levels in zip(*keys, strict=True))
    if 1 in shape:
        raise ValueError(
            "`cells` must hold two levels or more of each factor, but got one of "
            f"factor {shape.index(1)}. Leave that factor out."
        )
    return shape


def _contrast(array: Array, steps: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    for factor, level in steps:
        array = array.take([level], axis=factor) - array.take([0], axis=factor)
    return tuple(array.mean(axis=tuple(range(array.ndim - 1))).tolist())
