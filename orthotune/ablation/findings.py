"""What an ablation has found: from the trials of its study to verdicts."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthotune.ablation.design import Ablation, Claim
from orthotune.ablation.stand import (
    Values,
    difference,
    level_of,
    listed_cells,
    stand,
)
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
from orthotune.tuning.settings import Listed, More


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

    def curve(self, metric: str, num_epochs: int) -> list[float]:
        """The metric of every epoch; the worst after a divergence."""
        history, last = self.record.history, self.record.epoch
        worst = reportable(metric, math.nan, diverged=True)
        seen = [
            history[epoch][metric] if epoch < last or not self.diverged else worst
            for epoch in range(1, min(last, num_epochs) + 1)
        ]
        return seen + [worst] * (num_epochs - last)


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
        level: At which corrected p-values are judged; intervals have confidence 1 - it.
        missing: What has no result and will have none, `arm, seed: why` each.
        num_needed: Cells that are still to run before the next verdict.
    """

    ablation: Ablation
    arms: Mapping[str, Sequence[Replicate]]
    summaries: Mapping[str, ArmSummary | None]
    claims: Sequence[Judged]
    comparisons: Sequence[Judged]
    effects: Sequence[Effect]
    level: float
    missing: Sequence[str]
    num_needed: int


def find(
    ablation: Ablation, records: Sequence[TrialRecord], fingerprints: Fingerprints
) -> Findings:
    """The findings of an ablation, as far as it has come.

    Args:
        ablation: The ablation.
        records: The trials of its study.
        fingerprints: Of the data sets it names.
    """
    arms, ended, missing = _replicates(ablation, records, fingerprints)
    values = _values(arms)
    level = level_of(ablation)
    now = stand(ablation, values, ended)
    names = [arm.name for arm in ablation.arms]
    against = [Claim(better=names[0], than=name) for name in names[1:]]
    return Findings(
        ablation=ablation,
        arms=arms,
        summaries={name: _summary(own, level) for name, own in arms.items()},
        claims=[
            _judged(ablation, *judged, level)
            for judged in zip(
                ablation.claims,
                now.differences,
                now.corrected,
                now.verdicts,
                strict=True,
            )
        ],
        comparisons=_compared(ablation, against, values),
        effects=_effects(ablation, arms, level),
        level=level,
        missing=missing,
        num_needed=len(now.needed),
    )


def further_trials(ablation: Ablation, fingerprints: Fingerprints) -> More:
    """What `Study.more` asks: the cells of the next look, by the trials so far."""

    def more(records: Sequence[TrialRecord]) -> list[Listed]:
        arms, ended, _ = _replicates(ablation, records, fingerprints)
        return listed_cells(ablation, stand(ablation, _values(arms), ended).needed)

    return more


def _replicates(
    ablation: Ablation, records: Sequence[TrialRecord], fingerprints: Fingerprints
) -> tuple[dict[str, list[Replicate]], set[tuple[str, int]], list[str]]:
    """What every arm has given, the cells that have ended, and those without result."""
    by_key = {record.key: record for record in records}
    arms: dict[str, list[Replicate]] = {arm.name: [] for arm in ablation.arms}
    ended, missing = set(), []
    for arm, seed, fields in ablation.cells():
        record = by_key.get(trial_key(fields, fingerprints))
        if record is None or not record.status.ended:
            continue
        ended.add((arm.name, seed))
        diverged = record.status == Status.DIVERGED
        if record.status != Status.FINISHED and not diverged:
            missing.append(f"{arm.name}, seed {seed}: {record.error or record.status}")
            continue
        value = math.nan if diverged else record.last(ablation.metric)
        value = reportable(ablation.metric, value, diverged=diverged)
        arms[arm.name].append(Replicate(seed=seed, value=value, record=record))
    return arms, ended, missing


def _values(arms: Mapping[str, Sequence[Replicate]]) -> dict[str, dict[int, float]]:
    return {name: {r.seed: r.value for r in own} for name, own in arms.items()}


def _summary(replicates: Sequence[Replicate], level: float) -> ArmSummary | None:
    if not replicates:
        return None
    values = [replicate.value for replicate in replicates]
    diverged = [replicate.diverged for replicate in replicates]
    return summarize(values, diverged, confidence=1 - level)


def _compared(
    ablation: Ablation, claims: Sequence[Claim], values: Values
) -> list[Judged]:
    """A family of comparisons over all seeds there are."""
    level = level_of(ablation)
    differences = [
        difference(claim, values, ablation.seeds, level, len(claims))
        for claim in claims
    ]
    corrected = holm([found.p if found else None for found in differences])
    return [
        _judged(
            ablation,
            claim,
            found,
            p,
            judge(found, p, alpha=level) if found else Verdict.UNDECIDED,
            level,
        )
        for claim, found, p in zip(claims, differences, corrected, strict=True)
    ]


def _judged(
    ablation: Ablation,
    claim: Claim,
    found: PairedDifference | None,
    corrected_p: float | None,
    verdict: Verdict,
    level: float,
) -> Judged:
    same, more = ablation.is_void(claim), None
    if found is not None and verdict == Verdict.UNDECIDED and not same:
        # At the level that Holm's correction left to this one.
        tightened = corrected_p / found.p if corrected_p and found.p else 1.0
        needed = seeds_needed(found, alpha=level / max(1.0, tightened))
        more = None if needed is None else max(1, needed - found.n)
    return Judged(
        claim=claim,
        difference=found,
        corrected_p=corrected_p,
        verdict=verdict,
        more_seeds=more,
        same=same,
    )


def _effects(
    ablation: Ablation, arms: Mapping[str, Sequence[Replicate]], level: float
) -> list[Effect]:
    """Main effects and interactions, over the seeds that every arm has."""
    if ablation.design != "factorial":
        return []
    by_arm = _values(arms)
    values = [by_arm[arm.name] for arm in ablation.arms]
    common = [seed for seed in ablation.seeds if all(seed in own for own in values)]
    if not common:
        return []
    levels = [list(levels) for levels in ablation.factors.values()]
    # In the order of `design.crossed`.
    indices = itertools.product(*(range(len(own)) for own in levels))
    cells = {
        index: [own[seed] for seed in common]
        for index, own in zip(indices, values, strict=True)
    }
    contrasts = factorial_contrasts(cells)
    differences = [paired(c.values, confidence=1 - level) for c in contrasts]
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
