"""What a report says of arms that were tuned anew."""

from collections.abc import Mapping

from orthotune.ablation.claims_text import EQUIVALENCE_COLUMN
from orthotune.design.retune import Retune
from orthotune.record.trial_record import Status
from orthotune.space.conditions import condition_text
from orthotune.statistics.formatting import interval_text, p_text, signed
from orthotune.statistics.paired import Verdict
from orthotune.text import counted, markdown_table
from orthotune.verdicts.findings import Findings, Judged
from orthotune.verdicts.retuning_results import RetuningResults

HOW = (
    "The tables above compare all arms at one shared setting, which may suit one and "
    "not another. Here each arm has what suits it: all were given the same {draws} "
    "draws from the space below (random search with seed {seed}; the first is the "
    "shared setting), each was trained once with seed {seed}, and the best of an arm "
    "was run with the seeds of the ablation, as above. Tests, intervals and the "
    "correction are a family of their own. What {trials} did not find is no property "
    "of the arm. The best was chosen by the images that all are judged by: an arm that "
    "varies more from draw to draw gains more by that."
)


def retuned_part(findings: Findings) -> list[str]:
    """The section; empty for an ablation whose arms are not tuned anew.

    Args:
        findings: What it says.
    """
    retuning, retune = findings.retuning, findings.ablation.retune
    if retuning is None or retune is None:
        return []
    how = HOW.format(
        draws=retune.num_trials,
        seed=retune.seed,
        trials=counted(retune.num_trials, "trial"),
    )
    return [
        "## After re-tuning",
        how,
        _space_table(retune),
        *_tables(findings, retuning),
    ]


def _tables(findings: Findings, retuning: RetuningResults) -> list[str]:
    if findings.again is None:
        return [f"Not known yet: {counted(retuning.num_open, 'trial')} still to run."]
    return [
        retuned_claim_table(findings, findings.again),
        retuned_arm_table(findings, retuning),
        f"Effects above 0 are as claimed; arms whose difference is below 0 are better "
        f"than {findings.ablation.reference.name}.",
    ]


def _space_table(retune: Retune) -> str:
    rows = [[p.name, p.describe(), condition_text(p.when)] for p in retune.parameters]
    return markdown_table([["parameter", "values", "when"], *rows])


def retuned_claim_table(findings: Findings, again: Findings) -> str:
    """The claims, one a row, with both verdicts.

    Args:
        findings: At the shared setting.
        again: After every arm was tuned.
    """
    smallest = bool(findings.ablation.smallest_effect)
    names = ["effect", "interval", "corrected p", "n", "verdict"]
    if smallest:
        names.insert(3, EQUIVALENCE_COLUMN)
    header = ["claim"] + [
        f"{which} {what}" for which in ("shared", "re-tuned") for what in names
    ]
    rows = [
        [
            str(first.claim),
            *_judged_cells(first, smallest),
            *_judged_cells(second, smallest),
        ]
        for first, second in zip(findings.claims, again.claims, strict=True)
    ]
    return markdown_table([header, *rows])


def _judged_cells(judged: Judged, smallest: bool) -> list[str]:
    found = judged.difference
    p_equivalence = [p_text(judged.equivalence_p)] if smallest else []
    if found is None:
        return ["-"] * (4 + len(p_equivalence)) + [judged.verdict]
    return [
        signed(found.mean),
        interval_text(found.interval),
        p_text(judged.corrected_p),
        *p_equivalence,
        str(found.n),
        judged.verdict,
    ]


def retuned_arm_table(findings: Findings, retuning: RetuningResults) -> str:
    """Every arm: the setting found for it, its metric with and without that.

    Args:
        findings: What is shown.
        retuning: The trials that tuned the arms.
    """
    header = (
        "arm",
        "its best draw",
        "tried",
        "diverged",
        "shared mean",
        "re-tuned mean",
        "shared difference",
        "re-tuned difference",
    )
    again = findings.again or findings
    shared, retuned = _differences(findings), _differences(again)
    rows = []
    for name, trials in retuning.arms.items():
        best = retuning.best(name)
        diverged = [t.record.status == Status.DIVERGED for t in trials]
        rows.append(
            [
                name,
                best.words if best else "-",
                str(len(trials)),
                str(sum(diverged)),
                _mean(findings, name),
                _mean(again, name),
                shared.get(name, "-"),
                retuned.get(name, "-"),
            ]
        )
    return markdown_table([header, *rows])


def _mean(findings: Findings, name: str) -> str:
    summary = findings.summaries[name]
    return "-" if summary is None else f"{summary.mean:.4f}"


def _differences(findings: Findings) -> Mapping[str, str]:
    """The difference to the reference with its interval, by arm."""
    return {
        judged.claim.than: f"{signed(judged.difference.mean)} "
        f"{interval_text(judged.difference.interval)}"
        for judged in findings.comparisons
        if judged.difference is not None
    }


def retuned_remarks(findings: Findings) -> list[str]:
    """What tuning has shown of the claims, and what is still missing.

    Args:
        findings: What is said.
    """
    retuning, again = findings.retuning, findings.again
    if retuning is None:
        return []
    remarks = []
    if again is None:
        remarks.append(
            f"Re-tuning has not ended: {counted(retuning.num_open, 'trial')} to run or "
            "failed. The same command continues."
        )
        return remarks
    for first, second in zip(findings.claims, again.claims, strict=True):
        if first.verdict != second.verdict:
            remarks.append(
                f"{first.claim}: {first.verdict} at the shared setting, "
                f"{second.verdict} after every arm was tuned{_why(first, second)}."
            )
    if again.num_needed:
        remarks.append(
            f"{counted(again.num_needed, 'cell')} of the re-tuned arms still to run "
            "before the next verdict."
        )
    return remarks


def _why(shared: Judged, retuned: Judged) -> str:
    if Verdict.UNDECIDED not in (shared.verdict, retuned.verdict):
        return ": the shared setting decided, not the component"
    if shared.verdict == Verdict.SUPPORTED and not shared.claim.same:
        return ". It may have helped only because the rest was tuned for it"
    return ""
