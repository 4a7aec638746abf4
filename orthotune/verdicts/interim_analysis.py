"""Interim analysis of an ablation: its claims so far, and the cells to run next.

With a list of seeds there is one look, when every cell has ended. With `{initial, max}`
there are several (`Ablation.looks`): whoever looks may stop, so every look has only its
share of the level (`interim_looks.level_per_look`), and further seeds go only to the
arms of claims that are undecided. A claim keeps what it was decided by.

Every claim has two tests: that there is a difference, and, where the file has a
`smallest_effect`, that there is none that matters. What they refute excludes each other
(0 and the smallest effect or more), so a claim can be misjudged by one of them only.
Each kind is a family of its own, and spends the level once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orthotune.design.ablation import Ablation, Claim, listed_cell
from orthotune.record.study_definition import Listed
from orthotune.statistics.correction import holm
from orthotune.statistics.equivalence import equivalence_p, paired_beyond
from orthotune.statistics.interim_looks import level_per_look
from orthotune.statistics.paired import (
    PairedDifference,
    Verdict,
    judge,
    paired,
)

ALPHA = 0.05
"""Of every family of tests. A claim that does not hold is called supported, or one that
does contradicted, with at most this probability; so is one called equivalent that is
not."""

SMALLEST_P = 0.001
"""The sign-flip test is used where it can reach this, or the level of the family."""

UNDECIDED = Verdict.UNDECIDED

Values = Mapping[str, Mapping[int, float]]
"""The metric of every cell that has one, by arm and seed."""

Cell = tuple[str, int]
"""Arm and seed."""


class Judgement(NamedTuple):
    """What a family of tests says of one claim.

    Args:
        corrected: The p-value of a difference after Holm's correction; None for no
            test.
        equivalence: The same of equivalence.
        verdict: What follows.
    """

    corrected: float | None = None
    equivalence: float | None = None
    verdict: Verdict = UNDECIDED


@dataclass(frozen=True, kw_only=True)
class InterimAnalysis:
    """The claims of an ablation at its latest look.

    Args:
        differences: Of every claim, at the look that decided it or the latest one; None
            where two arms have no seed in common.
        judgements: What follows; nothing is decided between two looks.
        needed: The cells of the next look that have not ended.
    """

    differences: Sequence[PairedDifference | None]
    judgements: Sequence[Judgement]
    needed: Sequence[Cell]


def level_of(ablation: Ablation) -> float:
    """The level of each of an ablation's looks."""
    return level_per_look(ALPHA, len(ablation.looks))


def analyze(ablation: Ablation, values: Values, ended: set[Cell]) -> InterimAnalysis:
    """Go through the looks in their order, as far as cells have ended.

    Args:
        ablation: The ablation, without blocks.
        values: What its cells have given.
        ended: The cells in which nothing is left to run, those without a value too.
    """
    return analyze_together([ablation], [values], [ended])[0]


def analyze_together(
    parts: Sequence[Ablation], values: Sequence[Values], ended: Sequence[set[Cell]]
) -> list[InterimAnalysis]:
    """As `analyze`, of an ablation on several blocks, whose claims are one family.

    Args:
        parts: The ablation on every block.
        values: What the cells of each have given.
        ended: The cells of each in which nothing is left to run.
    """
    claims, looks = parts[0].claims, parts[0].looks
    items = [(b, k) for b in range(len(parts)) for k in range(len(claims))]
    found: dict[tuple[int, int], PairedDifference | None] = dict.fromkeys(items)
    judged = dict.fromkeys(items, Judgement())
    needed: list[list[Cell]] = [[] for _ in parts]
    for number, look in enumerate(looks):
        active = [item for item in items if judged[item].verdict == UNDECIDED]
        unsettled = [
            (b, k)
            for b, k in active
            if not number or _wants_seeds(parts[b], claims[k], found[b, k])
        ]
        if not unsettled:
            break
        seeds = parts[0].seeds[:look]
        for b, part in enumerate(parts):
            own = [claims[k] for block, k in unsettled if block == b]
            named = {name for claim in own for name in (claim.better, claim.than)}
            arms = [arm.name for arm in part.arms if not number or arm.name in named]
            cells = ((arm, seed) for seed in seeds for arm in arms)
            needed[b] = [cell for cell in cells if cell not in ended[b]]
        for b, k in active:
            found[b, k] = difference(parts[b], claims[k], values[b], seeds, len(items))
        now = judge_family([(parts[b], claims[k], found[b, k]) for b, k in items])
        for item, judgement in zip(items, now, strict=True):
            if item in active:
                open_yet = any(needed)
                judged[item] = (
                    judgement._replace(verdict=UNDECIDED) if open_yet else judgement
                )
        if any(needed):
            break
    return [
        InterimAnalysis(
            differences=[found[b, k] for k in range(len(claims))],
            judgements=[judged[b, k] for k in range(len(claims))],
            needed=needed[b],
        )
        for b in range(len(parts))
    ]


def _wants_seeds(
    ablation: Ablation, claim: Claim, found: PairedDifference | None
) -> bool:
    """Whether further seeds can tell more of an undecided claim.

    Not of one whose arms have no pair after a whole look, or are one configuration.
    """
    return found is not None and not ablation.is_void(claim)


def judge_family(
    asked: Sequence[tuple[Ablation, Claim, PairedDifference | None]],
) -> list[Judgement]:
    """The verdicts on claims that are judged together.

    A difference comes first: what is surely better, if by less than the smallest
    effect, is better.

    Args:
        asked: Every claim, the ablation it is made in, and what was measured for it.
    """
    ps = holm([found.p if found else None for _, _, found in asked])
    qs = holm(
        [
            None
            if found is None or ablation.is_void(claim)
            else equivalence_p(found, ablation.smallest_effect)
            for ablation, claim, found in asked
        ]
    )
    return [
        Judgement(p, q, _verdict(claim, found, p, q, level_of(ablation)))
        for (ablation, claim, found), p, q in zip(asked, ps, qs, strict=True)
    ]


def _verdict(
    claim: Claim,
    found: PairedDifference | None,
    p: float | None,
    q: float | None,
    level: float,
) -> Verdict:
    apart = UNDECIDED if found is None else judge(found, p, alpha=level)
    if apart != UNDECIDED:
        return Verdict.CONTRADICTED if claim.same else apart
    if q is None or q > level:
        return UNDECIDED
    return Verdict.SUPPORTED if claim.same else Verdict.EQUIVALENT


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
    ablation: Ablation,
    claim: Claim,
    values: Values,
    seeds: Sequence[int],
    family: int,
) -> PairedDifference | None:
    """The metric of `claim.than` minus that of `claim.better`, seed by seed.

    Of a claim that two are the same it is tested against a difference as large as the
    smallest effect, beyond which the claim is wrong.

    Args:
        ablation: The ablation.
        claim: The two arms.
        values: What the cells have given.
        seeds: Those looked at.
        family: How many claims it is corrected for.
    """
    better, than = values[claim.better], values[claim.than]
    pairs = [
        than[seed] - better[seed] for seed in seeds if seed in better and seed in than
    ]
    if not pairs:
        return None
    level = level_of(ablation)
    how = {"confidence": 1 - level, "smallest_p": smallest_p_of(level, family)}
    if claim.same:
        return paired_beyond(pairs, ablation.smallest_effect, **how)
    return paired(pairs, against=claim.by, **how)


def listed_cells(ablation: Ablation, cells: Sequence[Cell]) -> list[Listed]:
    """Cells as a study lists them."""
    arms = {arm.name: arm for arm in ablation.arms}
    return [listed_cell(arms[name], seed) for name, seed in cells]
