"""Interim analysis of an ablation: its claims so far, and the cells to run next.

With a list of seeds there is one look, when every cell has ended. With `{initial, max}`
there are several (`replication.looks`): whoever looks may stop, so every look has only
its share of the level (`replication.level_per_look`), and further seeds go only to the
arms of claims that are undecided, unless the interval of the difference is within the
smallest effect of interest. A claim keeps what it was decided by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthotune.design.ablation import Ablation, Claim, listed_cell
from orthotune.record.study_definition import Listed
from orthotune.statistics.interim_looks import level_per_look
from orthotune.statistics.paired import (
    PairedDifference,
    Verdict,
    holm,
    judge,
    paired,
)

ALPHA = 0.05
"""Of every family of tests: a claim that does not hold is called supported, or one that
does contradicted, with at most this probability."""

SMALLEST_P = 0.001
"""The sign-flip test is used where it can reach this, or the level of the family."""

UNDECIDED = Verdict.UNDECIDED

Values = Mapping[str, Mapping[int, float]]
"""The metric of every cell that has one, by arm and seed."""

Cell = tuple[str, int]
"""Arm and seed."""


@dataclass(frozen=True, kw_only=True)
class InterimAnalysis:
    """The claims of an ablation at its latest look.

    Args:
        differences: Of every claim, at the look that decided it or the latest one; None
            where two arms have no seed in common.
        corrected: Their p-values after Holm's correction.
        verdicts: What follows; nothing is decided between two looks.
        needed: The cells of the next look that have not ended.
    """

    differences: Sequence[PairedDifference | None]
    corrected: Sequence[float | None]
    verdicts: Sequence[Verdict]
    needed: Sequence[Cell]


def level_of(ablation: Ablation) -> float:
    """The level of each of an ablation's looks."""
    return level_per_look(ALPHA, len(ablation.looks))


def analyze(ablation: Ablation, values: Values, ended: set[Cell]) -> InterimAnalysis:
    """Go through the looks in their order, as far as cells have ended.

    Args:
        ablation: The ablation.
        values: What its cells have given.
        ended: The cells in which nothing is left to run, those without a value too.
    """
    level = level_of(ablation)
    claims = ablation.claims
    found: list[PairedDifference | None] = [None] * len(claims)
    corrected: list[float | None] = [None] * len(claims)
    verdicts = [UNDECIDED] * len(claims)
    needed: list[Cell] = []
    for number, look in enumerate(ablation.looks):
        active = [k for k, verdict in enumerate(verdicts) if verdict == UNDECIDED]
        unsettled = [
            k for k in active if not number or _wants_seeds(ablation, k, found[k])
        ]
        if not unsettled:
            break
        seeds = ablation.seeds[:look]
        named = {n for k in unsettled for n in (claims[k].better, claims[k].than)}
        arms = [arm.name for arm in ablation.arms if not number or arm.name in named]
        needed = [(a, seed) for seed in seeds for a in arms if (a, seed) not in ended]
        for k in active:
            found[k] = difference(claims[k], values, seeds, level, len(claims))
        ps = holm([each.p if each else None for each in found])
        for k in active:
            each, corrected[k] = found[k], ps[k]
            if each is not None and not needed:
                verdicts[k] = judge(each, corrected[k], alpha=level)
        if needed:
            break
    return InterimAnalysis(
        differences=found,
        corrected=corrected,
        verdicts=verdicts,
        needed=needed,
    )


def _wants_seeds(ablation: Ablation, k: int, found: PairedDifference | None) -> bool:
    """Whether further seeds can tell more of an undecided claim that is of interest.

    Not of one whose arms have no pair after a whole look, or are one configuration; nor
    of one whose whole interval is within the smallest effect.
    """
    if found is None or ablation.is_void(ablation.claims[k]):
        return False
    return not is_small(found, ablation.smallest_effect)


def is_small(found: PairedDifference, smallest: float) -> bool:
    """Whether the whole interval of a difference is within the smallest effect.

    Not of one without width: where no two differences differ, no spread was seen, and
    the interval says nothing.
    """
    if found.interval is None or not smallest or not found.sd:
        return False
    return -smallest < found.interval.low and found.interval.high < smallest


def smallest_p_of(level: float, family: int) -> float:
    """The p that a sign-flip test must be able to reach to be used.

    One that cannot reach the level after the correction would be no look at all.

    Args:
        level: At which the corrected p-value is judged.
        family: How many tests it is corrected for.

    Example:
        >>> smallest_p_of(0.05, 4), smallest_p_of(0.0125, 25)
        (0.001, 0.0005)
    """
    return min(SMALLEST_P, level / family)


def difference(
    claim: Claim, values: Values, seeds: Sequence[int], level: float, family: int
) -> PairedDifference | None:
    """The metric of `claim.than` minus that of `claim.better`, seed by seed.

    Args:
        claim: The two arms.
        values: What the cells have given.
        seeds: Those looked at.
        level: At which the corrected p-value is judged.
        family: How many claims it is corrected for.
    """
    better, than = values[claim.better], values[claim.than]
    pairs = [
        than[seed] - better[seed] for seed in seeds if seed in better and seed in than
    ]
    if not pairs:
        return None
    smallest_p = smallest_p_of(level, family)
    return paired(pairs, against=claim.by, confidence=1 - level, smallest_p=smallest_p)


def listed_cells(ablation: Ablation, cells: Sequence[Cell]) -> list[Listed]:
    """Cells as a study lists them."""
    arms = {arm.name: arm for arm in ablation.arms}
    return [listed_cell(arms[name], seed) for name, seed in cells]
