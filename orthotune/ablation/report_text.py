"""The report of an ablation as Markdown, and its short form."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orthotune.ablation.claims_text import claim_table, verdict_text
from orthotune.ablation.retuning_text import retuned_part, retuned_remarks
from orthotune.design.ablation import Ablation
from orthotune.design.arm_differences import arm_lines
from orthotune.record.provenance import commits_text, versions
from orthotune.record.trial_record import TrialRecord
from orthotune.report.status_counts import parted_text
from orthotune.statistics.formatting import interval_text, p_phrase, p_text, signed
from orthotune.statistics.paired import Verdict
from orthotune.text import counted, duration, markdown_table
from orthotune.verdicts.findings import Effect, Findings, Judged
from orthotune.verdicts.interim_analysis import ALPHA

NOT_NOTED = "not noted"
"""What is said to have computed a trial of a version that did not say."""

METHOD = (
    "Arms are compared seed by seed: a seed fixes initial weights, order of the "
    "images and augmentation, which all arms share as far as they draw from them. "
    "Differences are tested by an exact sign-flip permutation test where the number "
    "of seeds allows a small enough p, by a paired t test otherwise, which takes "
    "them for normal; p-values are two-sided and corrected by Holm's method within "
    "each table; those of equivalence are of two one-sided t tests, and corrected "
    "apart. Intervals are Student's t, not corrected for their number; those of "
    "divergence rates are exact (Clopper-Pearson). A diverged replicate counts with "
    "the worst value of the metric; what a few seeds did not show (an arm that "
    "diverges one time in ten) no test can know, so read the intervals of the "
    "divergence rates as well. Seeds are a sample of random initializations on one "
    "data set and one split: nothing here speaks of other data."
)


def markdown(
    findings: Findings,
    commits: Sequence[str],
    figures: Mapping[Path, str],
    command: str,
) -> str:
    """The report.

    Args:
        findings: What it says.
        commits: Of the code of all sessions.
        figures: What each figure beside it shows.
        command: What runs the ablation.
    """
    parts = [
        f"# {findings.ablation.question}",
        verdict_text(findings),
        *body(findings, figures),
        *how_it_was_run(
            findings.ablation, records_of(findings), METHOD, commits, command
        ),
    ]
    return "\n\n".join(parts) + "\n"


def body(findings: Findings, figures: Mapping[Path, str]) -> list[str]:
    """What stands between the verdicts and how it was run, a paragraph each.

    Args:
        findings: What it says.
        figures: What each figure beside the report shows.
    """
    return [
        "## Claims",
        claim_table(findings),
        f"A claim is judged at a corrected p of {findings.level:g}; intervals have a "
        f"confidence of {1 - findings.level:.3g}. *Further seeds* would probably "
        "(80 %) decide it if effect and spread are those seen.",
        "## Arms",
        arm_table(findings),
        f"{difference_text(findings)} *Superiority* is the share of seeds in which "
        f"{findings.ablation.reference.name} was better, ties half.",
        *(f"![{what}]({path.name})\n\n*{what}*" for path, what in figures.items()),
        *_effect_part(findings.effects),
        *retuned_part(findings),
        *_remarks(findings),
    ]


def how_it_was_run(
    ablation: Ablation,
    records: Sequence[TrialRecord],
    method: str,
    commits: Sequence[str],
    command: str,
) -> list[str]:
    """What was done, a paragraph each.

    Args:
        ablation: The ablation.
        records: Its trials.
        method: How it was judged.
        commits: Of the code of all sessions.
        command: What runs the ablation.
    """
    num_blocks = len(ablation.blocks)
    blocks = f" on each of {num_blocks} blocks" if num_blocks else ""
    return [
        "## How it was run",
        method,
        f"Design {ablation.design}, {len(ablation.arms)} arms{blocks}, "
        f"{ablation.num_epochs} epochs a cell, {_seeds(ablation)}; "
        f"{_trained(records)} of training{_computed_by(records)}{_reused(records)}; "
        f"{versions('orthotune', 'torch', 'ray')}, code at "
        f"{commits_text(commits)}. Every cell is in `cells.csv`, every epoch in "
        "`trials.jsonl`, both beside this file where it was run. Again: "
        f"`{command}`",
        "The reference's fields, and what differs in the other arms (every other field "
        "has its default):",
        "\n".join(["```text", *arm_lines(ablation), "```"]),
    ]


def short_note(findings: Findings) -> str:
    """What MLflow shows of the report, which may be longer than it takes."""
    parts = [
        f"# {findings.ablation.question}",
        verdict_text(findings),
        *_remarks(findings),
        arm_table(findings),
        difference_text(findings),
        "The whole report is the artifact `report.html`.",
    ]
    return "\n\n".join(parts)


def _seeds(ablation: Ablation) -> str:
    """The seeds, in words, and how it was corrected that they were added."""
    looks = ablation.looks
    if len(looks) == 1:
        return f"seeds {', '.join(map(str, ablation.seeds))}"
    return (
        f"seeds from {ablation.seeds[0]} on, added to the arms of undecided claims: "
        f"judged after {', '.join(map(str, looks[:-1]))} and {looks[-1]} of them, at "
        f"{len(looks)} looks each at 1 / {len(looks)} of the level {ALPHA:g} "
        "(Bonferroni); effects of claims that were decided early are too large on "
        "average, so read their intervals, and compare arms by their differences: "
        "their means are over different numbers of seeds"
    )


def _trained(records: Sequence[TrialRecord]) -> str:
    """How long all trained, together; what two arms share counts once."""
    return duration(
        sum(
            metrics["epoch_time_s"]
            for record in records
            for metrics in record.history.values()
            if record.reused is None
        )
    )


def _processors(records: Sequence[TrialRecord]) -> Counter[str]:
    """How many trials each kind of processor has computed, as far as that was noted."""
    names = (record.computed_by or (NOT_NOTED,) for record in records)
    found = Counter(itertools.chain.from_iterable(names))
    return Counter() if found.keys() == {NOT_NOTED} else found


def _computed_by(records: Sequence[TrialRecord]) -> str:
    """The processor that trained a cell: a GPU's name, or a CPU's instruction set."""
    names = ", ".join(name for name, _ in _processors(records).most_common())
    return f" by {names}" if names else ""


def _reused(records: Sequence[TrialRecord]) -> str:
    """A sentence on the cells whose results come from other studies."""
    sources = [r.reused.rpartition(", run ")[0] for r in records if r.reused]
    if not sources:
        return ""
    names = ", ".join(f"{name} ({n})" for name, n in Counter(sources).most_common())
    return (
        f"; {counted(len(sources), 'result')} taken from other studies of the same "
        f"MLflow store, which had trained the same with the same code: {names}. "
        "`trials.jsonl` says which, and their networks were not looked at again"
    )


def records_of(findings: Findings) -> list[TrialRecord]:
    """Every trial that the report speaks of, once."""
    return list({r.number: r for r in _all_records(findings)}.values())


def _all_records(findings: Findings) -> Iterator[TrialRecord]:
    """Every trial that the report speaks of, maybe more than once."""
    for replicates in findings.arms.values():
        yield from (item.record for item in replicates)
    if findings.retuning is not None:
        for trials in findings.retuning.arms.values():
            yield from (tried.record for tried in trials)
    if findings.again is not None:
        yield from _all_records(findings.again)


def arm_table(findings: Findings) -> str:
    """The ablation table: every arm, and its difference to the reference."""
    header = (
        "arm",
        "mean",
        "sd",
        "interval",
        "n",
        "diverged",
        "difference",
        "its interval",
        "corrected p",
        "superiority",
    )
    differences = {judged.claim.than: judged for judged in findings.comparisons}
    rows = []
    for name, summary in findings.summaries.items():
        row = [name, *["-"] * 5]
        if summary is not None:
            rate = summary.divergence_interval
            row = [
                name,
                f"{summary.mean:.4f}",
                "-" if summary.sd is None else f"{summary.sd:.4f}",
                interval_text(summary.interval, signed=False),
                str(summary.n),
                f"{summary.num_diverged} [{rate.low:.0%}, {rate.high:.0%}]",
            ]
        judged = differences.get(name)
        rows.append([*row, *_difference_cells(judged)])
    return markdown_table([header, *rows])


def difference_text(findings: Findings) -> str:
    """How the differences of the arm table are to be read."""
    reference = findings.ablation.reference.name
    return (
        f"A mean is over seeds; a difference is the arm's `{findings.ablation.metric}` "
        f"minus that of the reference, {reference}: below 0 the arm is better than it, "
        "above 0 worse. Its p-value tests for a difference other than 0 and is "
        "corrected for the number of arms; a claim's own stands with its verdict."
    )


def _difference_cells(judged: Judged | None) -> list[str]:
    if judged is None or judged.difference is None:
        return ["-"] * 4
    found = judged.difference
    return [
        signed(found.mean),
        interval_text(found.interval),
        p_text(judged.corrected_p),
        f"{found.superiority:.2f}",
    ]


def _effect_part(effects: Sequence[Effect]) -> list[str]:
    if not effects:
        return []
    header = ("effect", "mean", "interval", "corrected p", "n")
    rows = [
        [
            effect.name,
            signed(effect.difference.mean),
            interval_text(effect.difference.interval),
            p_text(effect.corrected_p),
            str(effect.difference.n),
        ]
        for effect in effects
    ]
    return [
        "## Effects",
        markdown_table([header, *rows]),
        "A main effect is what a level adds to the metric over the factor's first one, "
        "averaged over all other factors; an interaction (x) is how much that differs "
        "between the levels of another factor. Above 0 is worse, below 0 better.",
    ]


def _remarks(findings: Findings) -> list[str]:
    """What a reader must know before believing the tables."""
    remarks = []
    ablation = findings.ablation
    if len(ablation.seeds) == 1:
        remarks.append(
            "One seed gives no interval and no test: nothing can be supported or "
            "contradicted. Give more under `seeds`."
        )
    for judged in findings.comparisons:
        if judged.void:
            remarks.append(
                f"{judged.claim.than} and {judged.claim.better} are one configuration: "
                "what their factor sets changes nothing here."
            )
    for name, summary in findings.summaries.items():
        if summary is not None and summary.num_diverged == summary.n:
            remarks.append(
                f"Every replicate of {name} diverged: its value is the worst there is."
            )
    remarks += _small_remarks(findings)
    processors = _processors(records_of(findings)).most_common()
    if len(processors) > 1:
        shown = ", ".join(f"{name} ({n})" for name, n in processors)
        remarks.append(
            f"Trials were computed by several kinds of processors: {shown}. The pairs "
            "of a seed share initial weights and images, but then not their rounding, "
            "which deep networks amplify."
        )
    remarks += retuned_remarks(findings)
    if findings.num_needed:
        remarks.append(
            f"{findings.num_needed} cells are still to run before the next verdict; "
            "until then a claim that is not decided stays so. The same command "
            "continues."
        )
    if findings.missing:
        shown = "; ".join(findings.missing[:5])
        more = len(findings.missing) - 5
        rest = f"; and {more} more" if more > 0 else ""
        remarks.append(
            f"{len(findings.missing)} cells have no result and are left out, with "
            f"their pairs: {shown}{rest}. The same command runs again those that "
            "failed by an error."
        )
    remarks += filter(None, [parted_text(records_of(findings))])
    lines = [f"- {remark}" for remark in remarks]
    return ["## Remarks", "\n".join(lines)] if lines else []


def _small_remarks(findings: Findings) -> Iterator[str]:
    """The differences that are surely within the smallest effect of interest."""
    smallest = findings.ablation.smallest_effect
    for judged in filter(findings.is_small, findings.comparisons):
        yield (
            f"The difference of {judged.claim.than} to {judged.claim.better} is within "
            f"the smallest effect of interest, {smallest:g} (corrected p "
            f"{p_phrase(judged.equivalence_p)})."
        )
    for judged in filter(findings.is_small, findings.claims):
        if judged.verdict != Verdict.EQUIVALENT and not judged.claim.same:
            yield (
                f"{judged.claim}: {judged.verdict}, and yet the difference is within "
                f"the smallest effect of interest (corrected p "
                f"{p_phrase(judged.equivalence_p)})."
            )
