"""What an ablation has found: from the trials of its study to verdicts."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthotune.design.ablation import Ablation, Claim
from orthotune.record.identity import Fingerprints, trial_key
from orthotune.record.study_definition import Listed, More
from orthotune.record.trial_record import TrialRecord
from orthotune.statistics.correction import holm
from orthotune.statistics.equivalence import equivalence_p, seeds_to_equivalence
from orthotune.statistics.factorial import factorial_contrasts
from orthotune.statistics.paired import (
    ArmSummary,
    PairedDifference,
    Verdict,
    paired,
    summarize,
)
from orthotune.statistics.power import seeds_needed
from orthotune.verdicts.interim_analysis import (
    Cell,
    InterimAnalysis,
    Judgement,
    Values,
    analyze_together,
    difference,
    judge_family,
    level_of,
    listed_cells,
    smallest_p_of,
)
from orthotune.verdicts.replicates import Replicate, result_of
from orthotune.verdicts.retuning_results import RetuningResults, retuned_parts, retuning


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A comparison of two arms, seed by seed.

    Args:
        claim: What is judged.
        difference: The metric of `claim.than` minus that of `claim.better`; None if
            they have no seed in common.
        corrected_p: Its p-value after Holm's correction within its family.
        equivalence_p: That of equivalence, within a family of its own; None without a
            smallest effect, or for what cannot be tested.
        verdict: What follows.
        more_seeds: Further seeds that would probably decide, where it is undecided.
        void: Whether the two arms are one configuration under two names.
    """

    claim: Claim
    difference: PairedDifference | None
    corrected_p: float | None
    equivalence_p: float | None
    verdict: Verdict
    more_seeds: int | None
    void: bool


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
        retuning: What tuning has found for the arms, if they are tuned anew.
        again: The same of the arms so tuned; None until tuning has ended.
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
    retuning: RetuningResults | None = None
    again: "Findings | None" = None

    def is_small(self, judged: Judged) -> bool:
        """Whether a difference is surely within the smallest effect."""
        return judged.equivalence_p is not None and judged.equivalence_p <= self.level


def find(
    ablation: Ablation, records: Sequence[TrialRecord], fingerprints: Fingerprints
) -> Findings:
    """The findings of an ablation without blocks, as far as it has come.

    Args:
        ablation: The ablation.
        records: The trials of its study.
        fingerprints: Of the data sets it names.
    """
    return find_together([ablation], records, fingerprints)[0]


def find_together(
    parts: Sequence[Ablation],
    records: Sequence[TrialRecord],
    fingerprints: Fingerprints,
) -> list[Findings]:
    """The findings of an ablation on each of its blocks, whose claims are one family.

    Args:
        parts: The ablation on every block.
        records: The trials of its study.
        fingerprints: Of the data sets it names.
    """
    seen = [_replicates(part, records, fingerprints) for part in parts]
    now = _analyzed(parts, seen)
    tuning = [retuning(part, records, fingerprints) for part in parts]
    retuned = retuned_parts(tuning)
    again: Sequence[Findings | None] = [None] * len(parts)
    if retuned:
        again = find_together(retuned, records, fingerprints)
    return [_found(*one) for one in zip(parts, seen, now, tuning, again, strict=True)]


_Seen = tuple[dict[str, list[Replicate]], set[Cell], list[str]]
"""Results of each arm, the cells that have ended, and those without a result."""


def _analyzed(
    parts: Sequence[Ablation], seen: Sequence[_Seen]
) -> list[InterimAnalysis]:
    values = [_values(arms) for arms, _, _ in seen]
    return analyze_together(parts, values, [ended for _, ended, _ in seen])


def _found(
    ablation: Ablation,
    seen: _Seen,
    now: InterimAnalysis,
    tuning: RetuningResults | None,
    again: Findings | None,
) -> Findings:
    arms, _, missing = seen
    level = level_of(ablation)
    names = [arm.name for arm in ablation.arms]
    against = [Claim(better=names[0], than=name) for name in names[1:]]
    return Findings(
        ablation=ablation,
        arms=arms,
        summaries={name: _summary(own, level) for name, own in arms.items()},
        claims=[
            _judged(ablation, *judged)
            for judged in zip(
                ablation.claims, now.differences, now.judgements, strict=True
            )
        ],
        comparisons=_compared(ablation, against, _values(arms)),
        effects=_effects(ablation, arms, level),
        level=level,
        missing=missing,
        num_needed=len(now.needed),
        retuning=tuning,
        again=again,
    )


def further_trials(ablation: Ablation, fingerprints: Fingerprints) -> More:
    """The cells of the next look, given the trials so far: what `Study.more` calls.

    Those of the arms as they were tuned anew, too, once that has ended.
    """

    def needed(
        parts: Sequence[Ablation], records: Sequence[TrialRecord]
    ) -> list[Listed]:
        seen = [_replicates(part, records, fingerprints) for part in parts]
        now = _analyzed(parts, seen)
        listed = [
            cell
            for part, one in zip(parts, now, strict=True)
            for cell in listed_cells(part, one.needed)
        ]
        tuning = [retuning(part, records, fingerprints) for part in parts]
        retuned = retuned_parts(tuning)
        return [*listed, *(needed(retuned, records) if retuned else ())]

    return lambda records: needed(ablation.parts, records)


def _replicates(
    ablation: Ablation, records: Sequence[TrialRecord], fingerprints: Fingerprints
) -> _Seen:
    by_key = {record.key: record for record in records}
    arms: dict[str, list[Replicate]] = {arm.name: [] for arm in ablation.arms}
    ended, missing = set(), []
    for arm, seed, fields in ablation.cells():
        record = by_key.get(trial_key(fields, fingerprints))
        if record is None or not record.status.ended:
            continue
        ended.add((arm.name, seed))
        value = result_of(record, ablation.metric)
        if value is None:
            missing.append(f"{arm.group}, seed {seed}: {record.error or record.status}")
            continue
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
    differences = [
        difference(ablation, claim, values, ablation.seeds, len(claims))
        for claim in claims
    ]
    judgements = judge_family(
        [(ablation, *one) for one in zip(claims, differences, strict=True)]
    )
    return [
        _judged(ablation, *judged)
        for judged in zip(claims, differences, judgements, strict=True)
    ]


def _judged(
    ablation: Ablation,
    claim: Claim,
    found: PairedDifference | None,
    judgement: Judgement,
) -> Judged:
    void, more = ablation.is_void(claim), None
    if found is not None and judgement.verdict == Verdict.UNDECIDED and not void:
        needed = _seeds_to_decide(ablation, claim, found, judgement)
        more = None if needed is None else max(1, needed - found.n)
    return Judged(
        claim=claim,
        difference=found,
        corrected_p=judgement.corrected,
        equivalence_p=judgement.equivalence,
        verdict=judgement.verdict,
        more_seeds=more,
        void=void,
    )


def _seeds_to_decide(
    ablation: Ablation, claim: Claim, found: PairedDifference, judgement: Judgement
) -> int | None:
    """Seeds in all after which a claim would probably be decided, either way.

    At the level that Holm's correction left to it.
    """
    level, margin = level_of(ablation), ablation.smallest_effect
    apart = _tightened(level, found.p, judgement.corrected)
    alike = _tightened(level, equivalence_p(found, margin), judgement.equivalence)
    # What is within the margin cannot be found to be beyond it.
    inside = claim.same and abs(found.mean) <= margin
    numbers = [
        None if inside else seeds_needed(found, alpha=apart),
        seeds_to_equivalence(found, margin, alpha=alike),
    ]
    return min((n for n in numbers if n is not None), default=None)


def _tightened(level: float, p: float | None, corrected: float | None) -> float:
    return level / max(1.0, corrected / p if corrected and p else 1.0)


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
    smallest_p = smallest_p_of(level, len(contrasts))
    differences = [
        paired(c.values, confidence=1 - level, smallest_p=smallest_p) for c in contrasts
    ]
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
