"""What an ablation has found on several blocks: on each, and over all of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orthotune.design.ablation import Ablation, Claim
from orthotune.record.identity import Fingerprints
from orthotune.record.trial_record import TrialRecord
from orthotune.statistics.across_blocks import Pooled, pool
from orthotune.statistics.paired import PairedDifference
from orthotune.verdicts.findings import Findings, find_together
from orthotune.verdicts.interim_analysis import Judgement, judge_family, level_of


@dataclass(frozen=True, kw_only=True)
class OverAll:
    """A claim over all blocks.

    Args:
        claim: What is judged.
        pooled: The random-effects mean; None as long as a block has no spread.
        judgement: What follows, corrected for the number of claims.
    """

    claim: Claim
    pooled: Pooled | None
    judgement: Judgement


@dataclass(frozen=True, kw_only=True)
class BlockFindings:
    """All that a report on several blocks says.

    Args:
        ablation: The ablation.
        parts: What was found on every block, in their order; its claims are corrected
            for the claims of all blocks.
        overall: The claims over all blocks, a family of their own.
        again: The same of the arms that were tuned anew on each block; empty until all
            have been.
    """

    ablation: Ablation
    parts: Sequence[Findings]
    overall: Sequence[OverAll]
    again: Sequence[OverAll]

    def named(self) -> Iterator[tuple[str, Findings]]:
        """Name and findings of every block."""
        names = (block.name for block in self.ablation.blocks)
        yield from zip(names, self.parts, strict=True)


def find_blocks(
    ablation: Ablation, records: Sequence[TrialRecord], fingerprints: Fingerprints
) -> BlockFindings:
    """The findings of an ablation with blocks, as far as it has come.

    Args:
        ablation: The ablation.
        records: The trials of its study.
        fingerprints: Of the data sets it names.
    """
    parts = find_together(ablation.parts, records, fingerprints)
    again = [part.again for part in parts if part.again is not None]
    return BlockFindings(
        ablation=ablation,
        parts=parts,
        overall=_over_all(ablation, parts),
        again=_over_all(ablation, again) if again else (),
    )


def _over_all(ablation: Ablation, parts: Sequence[Findings]) -> list[OverAll]:
    pooled = [
        _pooled(ablation, claim, [part.claims[k].difference for part in parts])
        for k, claim in enumerate(ablation.claims)
    ]
    judgements = judge_family(
        [
            (ablation, claim, one.difference if one else None)
            for claim, one in zip(ablation.claims, pooled, strict=True)
        ]
    )
    return [
        OverAll(claim=claim, pooled=one, judgement=judgement)
        for claim, one, judgement in zip(
            ablation.claims, pooled, judgements, strict=True
        )
    ]


def _pooled(
    ablation: Ablation, claim: Claim, found: Sequence[PairedDifference | None]
) -> Pooled | None:
    seen = [one for one in found if one is not None]
    if len(seen) < len(found):
        return None
    confidence = 1 - level_of(ablation)
    one = pool(seen, against=claim.by, confidence=confidence)
    if one is None or not claim.same:
        return one
    # As `paired_beyond`: against the nearest of the means that agree with it.
    margin, mean = ablation.smallest_effect, one.difference.mean
    if abs(mean) <= margin:
        return replace(one, difference=replace(one.difference, p=1.0))
    return pool(seen, against=math.copysign(margin, mean), confidence=confidence)
