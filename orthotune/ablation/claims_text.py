"""The claims of an ablation in words: their verdicts, and the numbers behind them."""

from orthotune.statistics.formatting import interval_text, p_phrase, p_text, signed
from orthotune.statistics.paired import Verdict
from orthotune.text import counted, markdown_table
from orthotune.verdicts.findings import Findings, Judged
from orthotune.verdicts.interim_analysis import level_of

EFFECT = (
    "An effect is the `{metric}` of a claim's second arm minus that of its first: "
    "above 0 the first is better, as claimed. Its p-value tests for an effect other "
    "than {other}, and is corrected for the number of claims; below {level:g} it "
    "decides, and intervals are of confidence {confidence:g}."
)

EQUIVALENCE = (
    " *Equivalent* is what is within +-{smallest:g}, the smallest effect of interest, "
    "by two one-sided tests, whose p-value is corrected apart and decides below the "
    "same level."
)

SAME = (
    " A claim of equivalence is contradicted by an effect beyond that: its p-value "
    "tests for one."
)

HEADER = (
    "claim",
    "verdict",
    "effect",
    "interval",
    "corrected p",
    "n",
    "test",
    "further seeds",
)
EQUIVALENCE_COLUMN = "p of equivalence"


def verdict_text(findings: Findings) -> str:
    """The verdict on every claim with its numbers, and how these are to be read."""
    again = findings.again.claims if findings.again is not None else ()
    lines = []
    for number, judged in enumerate(findings.claims):
        line = f"- **{judged.verdict}**: {judged.claim}"
        numbers = numbers_text(judged)
        if again:
            line += f"; re-tuned: **{again[number].verdict}**"
            numbers += f"; re-tuned: {numbers_text(again[number])}"
        lines.append(f"{line}  \n  {numbers}")  # two spaces: Markdown's line break
    bounded = any(judged.claim.by for judged in findings.claims)
    other = "0 (with *by at least*, other than so much)" if bounded else "0"
    level, smallest = level_of(findings.ablation), findings.ablation.smallest_effect
    how = EFFECT.format(
        metric=findings.ablation.metric,
        other=other,
        level=level,
        confidence=1 - level,
    )
    how += EQUIVALENCE.format(smallest=smallest) if smallest else ""
    how += SAME if any(judged.claim.same for judged in findings.claims) else ""
    return "\n\n".join(["\n".join(lines), how])


def numbers_text(judged: Judged) -> str:
    """A claim's effect, interval and p, in a phrase."""
    found = judged.difference
    if found is None:
        return "effect not known yet: no seed has both arms"
    seeds = counted(found.n, "seed")
    if judged.corrected_p is None:
        return f"effect {signed(found.mean)}, {seeds}"
    alike = judged.verdict == Verdict.EQUIVALENT or judged.claim.same
    of = f" (of equivalence {p_phrase(judged.equivalence_p)})" if alike else ""
    return (
        f"effect {signed(found.mean)} {interval_text(found.interval)}, "
        f"corrected p {p_phrase(judged.corrected_p)}{of}, {seeds}"
    )


def claim_table(findings: Findings) -> str:
    """The claims, one a row; with the p of equivalence where there can be one."""
    rows = [list(HEADER), *map(_row, findings.claims)]
    if findings.ablation.smallest_effect:
        ps = (p_text(judged.equivalence_p) for judged in findings.claims)
        at = HEADER.index("corrected p") + 1
        for row, cell in zip(rows, [EQUIVALENCE_COLUMN, *ps], strict=True):
            row.insert(at, cell)
    return markdown_table(rows)


def _row(judged: Judged) -> list[str]:
    found = judged.difference
    if found is None:
        return [str(judged.claim), judged.verdict, *["-"] * 6]
    more = "-" if judged.verdict != Verdict.UNDECIDED else "not to be told"
    return [
        str(judged.claim),
        judged.verdict,
        signed(found.mean),
        interval_text(found.interval),
        p_text(judged.corrected_p),
        str(found.n),
        found.test,
        more if judged.more_seeds is None else str(judged.more_seeds),
    ]
