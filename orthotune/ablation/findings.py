"""What an ablation has found: from the trials of its study to verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthotune.ablation.design import Ablation, Claim, cell_fields
from orthotune.ablation.statistics import (
    ArmSummary,
    PairedDifference,
    Verdict,
    factorial_contrasts,
    holm,
    judge,
    paired,
    seeds_needed,
    summarize,
)
from orthotune.training.metrics import reportable
from orthotune.tuning.identity import Fingerprints, trial_key
from orthotune.tuning.journal import Status, TrialRecord

ALPHA = 0.05
"""Of every family of tests: a claim that does not hold is called supported, or one that
does contradicted, with at most this probability."""


@dataclass(frozen=True, kw_only=True)
class Replicate:
    """A cell that has ended with a result.

    Args:
        seed: Its seed.
        value: The metric at its end; the worst there is if it diverged.
        record: Its trial.
    """

    seed: int
    value: float
    record: TrialRecord

    @property
    def diverged(self) -> bool:
        """Whether it diverged."""
        return self.record.status == Status.DIVERGED


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A comparison of two arms, seed by seed.

    Args:
        claim: What is judged.
        difference: The metric of `claim.than` minus that of `claim.better`; None if
            they have no seed in common.
        corrected_p: Its p-value after Holm's correction within its family.
        verdict: What follows.
        more_seeds: Further seeds that would probably decide, where it is undecided.
        same: Whether the two arms are one configuration under two names.
    """

    claim: Claim
    difference: PairedDifference | None
    corrected_p: float | None
    verdict: Verdict
    more_seeds: int | None
    same: bool


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A main effect or an interaction of a factorial design.

    Args:
        name: In words.
        difference: What it adds to the metric: above 0 is worse.
        corrected_p: Its p-value after Holm's correction among the effects.
    """

    name: str
    difference: PairedDifference
    corrected_p: float | None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a report says.

    Args:
        ablation: The ablation.
        arms: The replicates of every arm, by name, in the order of the seeds.
        summaries: Each arm by itself; None for one without a replicate.
        claims: The claims, one family of tests.
        comparisons: Every other arm against the reference, another family.
        effects: Of a factorial design, a third.
        missing: What has no result, `arm, seed: why` each.
    """

    ablation: Ablation
    arms: Mapping[str, Sequence[Replicate]]
    summaries: Mapping[str, ArmSummary | None]
    claims: Sequence[Judged]
    comparisons: Sequence[Judged]
    effects: Sequence[Effect]
    missing: Sequence[str]


def find(
    ablation: Ablation, records: Sequence[TrialRecord], fingerprints: Fingerprints
) -> Findings:
    """The findings of an ablation, as far as it has come.

    Args:
        ablation: The ablation.
        records: The trials of its study.
        fingerprints: Of the data sets it names.
    """
    arms, missing = _replicates(ablation, records, fingerprints)
    configurations = {
        arm.name: trial_key(cell_fields(arm, ablation.seeds[0]), fingerprints)
        for arm in ablation.arms
    }
    names = [arm.name for arm in ablation.arms]
    against = [Claim(better=names[0], than=name) for name in names[1:]]
    return Findings(
        ablation=ablation,
        arms=arms,
        summaries={name: _summary(own) for name, own in arms.items()},
        claims=_judged(ablation.claims, arms, configurations),
        comparisons=_judged(against, arms, configurations),
        effects=_effects(ablation, arms),
        missing=missing,
    )


def _replicates(
    ablation: Ablation, records: Sequence[TrialRecord], fingerprints: Fingerprints
) -> tuple[dict[str, list[Replicate]], list[str]]:
    by_key = {record.key: record for record in records}
    arms: dict[str, list[Replicate]] = {arm.name: [] for arm in ablation.arms}
    missing = []
    for arm, seed, fields in ablation.cells():
        record = by_key.get(trial_key(fields, fingerprints))
        if record is None or record.status not in (Status.FINISHED, Status.DIVERGED):
            why = "not run" if record is None else (record.error or str(record.status))
            missing.append(f"{arm.name}, seed {seed}: {why}")
            continue
        diverged = record.status == Status.DIVERGED
        value = math.nan if diverged else record.last(ablation.metric)
        value = reportable(ablation.metric, value, diverged=diverged)
        arms[arm.name].append(Replicate(seed=seed, value=value, record=record))
    return arms, missing


def _summary(replicates: Sequence[Replicate]) -> ArmSummary | None:
    if not replicates:
        return None
    values = [replicate.value for replicate in replicates]
    return summarize(values, [replicate.diverged for replicate in replicates])


def _judged(
    claims: Sequence[Claim],
    arms: Mapping[str, Sequence[Replicate]],
    configurations: Mapping[str, str],
) -> list[Judged]:
    """The claims of one family, corrected for their number."""
    differences = [_difference(claim, arms) for claim in claims]
    corrected = holm([found.p if found else None for found in differences])
    return [
        _verdict(
            claim, found, p, configurations[claim.better], configurations[claim.than]
        )
        for claim, found, p in zip(claims, differences, corrected, strict=True)
    ]


def _difference(
    claim: Claim, arms: Mapping[str, Sequence[Replicate]]
) -> PairedDifference | None:
    better = {item.seed: item.value for item in arms[claim.better]}
    pairs = [
        item.value - better[item.seed]
        for item in arms[claim.than]
        if item.seed in better
    ]
    return paired(pairs, against=claim.by) if pairs else None


def _verdict(
    claim: Claim,
    difference: PairedDifference | None,
    corrected_p: float | None,
    *keys: str,
) -> Judged:
    verdict, more = Verdict.UNDECIDED, None
    same = len(set(keys)) == 1
    if difference is not None:
        verdict = judge(difference, corrected_p, alpha=ALPHA)
    if difference is not None and verdict == Verdict.UNDECIDED and not same:
        # At the level that Holm's correction left to this one.
        tightened = corrected_p / difference.p if corrected_p and difference.p else 1.0
        needed = seeds_needed(difference, alpha=ALPHA / max(1.0, tightened))
        more = None if needed is None else max(1, needed - difference.n)
    return Judged(
        claim=claim,
        difference=difference,
        corrected_p=corrected_p,
        verdict=verdict,
        more_seeds=more,
        same=same,
    )


def _effects(
    ablation: Ablation, arms: Mapping[str, Sequence[Replicate]]
) -> list[Effect]:
    """Main effects and interactions, over the seeds that every arm has."""
    if ablation.design != "factorial":
        return []
    values = [{r.seed: r.value for r in arms[arm.name]} for arm in ablation.arms]
    common = [seed for seed in ablation.seeds if all(seed in own for own in values)]
    if not common:
        return []
    levels = [list(levels) for levels in ablation.factors.values()]
    cells = {
        index: [own[seed] for seed in common]
        for index, own in zip(
            _indices([len(own) for own in levels]), values, strict=True
        )
    }
    contrasts = factorial_contrasts(cells)
    differences = [paired(contrast.values) for contrast in contrasts]
    corrected = holm([found.p for found in differences])
    factors = list(ablation.factors)
    return [
        Effect(
            name=" x ".join(
                f"{factors[f]}={levels[f][level]}" for f, level in contrast.steps
            ),
            difference=found,
            corrected_p=p,
        )
        for contrast, found, p in zip(contrasts, differences, corrected, strict=True)
    ]


def _indices(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """The level indices of every arm, in the order of `design.crossed`."""
    indices: list[tuple[int, ...]] = [()]
    for size in sizes:
        indices = [(*index, level) for index in indices for level in range(size)]
    return indices
