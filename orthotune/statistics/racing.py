"""A race of candidates over seeds: who is worse than the leader beyond doubt leaves.

Pure functions on numbers. A round trains every candidate that is still in the race with
one seed, the same for all, so that candidates are compared by their differences. After
each round from the second on they are looked at.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orthotune.statistics.correction import holm
from orthotune.statistics.interim_looks import level_per_look

ALPHA = 0.05
"""The probability at most with which a race loses any candidate that none is better
than."""

SMALLEST_P = 0.001
"""The sign-flip test is used where it can reach this, or the level of the family."""

ALWAYS_SIGNS = 0.999
"""That any number of pairs can reach."""

Values = Mapping[int, float | None]
"""The metric by round, counted from 0, of the runs that have ended; None for one that
ended without a value."""


@dataclass(frozen=True, kw_only=True)
class Race:
    """How far a race has come.

    Args:
        left_after: For each candidate the rounds after which it left; None if it is in.
        failed: The candidates that left because a run of theirs ended without a value.
        needed: Candidate and round of the runs that have not ended, up to the next
            look; none if the race is over.
    """

    left_after: Sequence[int | None]
    failed: frozenset[int]
    needed: Sequence[tuple[int, int]]

    @property
    def standing(self) -> list[int]:
        """The candidates that are in."""
        return [one for one, rounds in enumerate(self.left_after) if rounds is None]


def race(
    candidates: Sequence[Values],
    rounds: int,
    *,
    diverged: Collection[tuple[int, int]] = (),
    alpha: float = ALPHA,
) -> Race:
    """Go through the rounds in their order, as far as runs have ended.

    The leader is the candidate with the smallest mean. Every other one is compared with
    it by the paired test (`paired`), one-sided. The leader is chosen by the same
    numbers, and could have been any of the others: each p-value counts as many times
    as there are others. These are corrected for all candidates by Holm's method, those
    that have left with the p-value by which they did, and judged at the level that each
    planned look has (`level_per_look`). So a candidate that none is better than leaves
    with probability `alpha` at most, all such candidates and all looks together.

    Two runs that diverged by chance look like a large difference without spread to a t
    test, which would err in a quarter of all races of candidates that diverge one time
    in three. So where a run of either has diverged the test flips signs, however few
    seeds there are: who diverges stays long, at the price of runs that end early.

    The last candidate runs what is left of its rounds, for the sake of its mean. What
    is decided does not depend on the order in which the runs of a round end.

    Args:
        candidates: What each has come to; smaller is better.
        rounds: The most rounds there may be.
        diverged: Candidate and round of the runs that diverged.
        alpha: As above.

    Example:
        >>> alike = [{0: 0.10, 1: 0.12, 2: 0.11}, {0: 0.11, 1: 0.11, 2: 0.10}]
        >>> race(alike, 3).standing, race(alike, 4).needed
        ([0, 1], [(0, 3), (1, 3)])
        >>> race([{0: 0.10, 1: 0.12, 2: 0.11}, {0: 0.80, 1: 0.83, 2: 0.82}], 3).standing
        [0]
    """
    left: list[int | None] = [None] * len(candidates)
    failed: set[int] = set()
    ps: list[float | None] = [1.0] * len(candidates)
    done = min(2, rounds)
    while True:
        standing = [one for one, at in enumerate(left) if at is None]
        if len(standing) == 1 and None not in candidates[standing[0]].values():
            done = rounds
        needed = [
            (one, number)
            for number in range(done)
            for one in standing
            if number not in candidates[one]
        ]
        if needed:
            break
        for one in standing:
            if any(candidates[one][number] is None for number in range(done)):
                left[one], ps[one] = done, None
                failed.add(one)
        if done > 1:
            in_race = [one for one in standing if one not in failed]
            level = level_per_look(alpha, rounds - 1)
            for one in _beaten(candidates, in_race, done, ps, level, diverged):
                left[one] = done
        if done == rounds:
            break
        done += 1
    return Race(left_after=left, failed=frozenset(failed), needed=needed)


def _beaten(
    candidates: Sequence[Values],
    standing: Sequence[int],
    done: int,
    ps: list[float | None],
    level: float,
    diverged: Collection[tuple[int, int]],
) -> list[int]:
    """Those that are worse than the leader; `ps` gets the p-value of each."""
    if len(standing) < 2:
        return []
    values = {
        one: [candidates[one][number] or 0.0 for number in range(done)]
        for one in standing
    }
    leader = min(standing, key=lambda one: sum(values[one]))
    others = sum(p is not None for p in ps) - 1
    smallest_p = min(SMALLEST_P, 2 * level / (others * (others + 1)))
    ps[leader] = 1.0
    for one in standing:
        if one == leader:
            continue
        pairs = zip(values[one], values[leader], strict=True)
        differences = tuple(mine - best for mine, best in pairs)
        by_chance = any(
            (each, number) in diverged
            for each in (one, leader)
            for number in range(done)
        )
        worse = _worse(differences, ALWAYS_SIGNS if by_chance else smallest_p)
        ps[one] = min(1.0, others * worse)
    corrected = holm(ps)
    return [one for one in standing if (corrected[one] or 0.0) <= level]


# A race is replayed whenever it is asked about.
@functools.lru_cache(maxsize=4096)
def _worse(differences: tuple[float, ...], smallest_p: float) -> float:
    """The one-sided p-value of a mean difference that is not above 0."""
    from orthotune.statistics.paired import paired

    found = paired(differences, smallest_p=smallest_p)
    p = found.p or 0.0
    return p / 2 if found.mean > 0 else 1 - p / 2
