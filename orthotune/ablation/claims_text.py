"""The claims of an ablation in words: their verdicts, and the numbers behind them."""

from orthotune.ablation.findings import Findings, Judged
from orthotune.ablation.interim_analysis import level_of
from orthotune.statistics.formatting import interval_text, p_text, signed
from orthotune.statistics.paired import Verdict
from orthotune.text import counted, markdown_table

EFFECT = (
    "An effect is the `{metric}` of a claim's second arm minus that of its first: "
    "above 0 the first is better, as claimed. Its p-value tests for an effect other "
    "than {other}, and is corrected for the number of claims; below {level:g} it "
    "decides, and intervals are of confidence {confidence:g}."
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
    level = level_of(findings.ablation)
    how = EFFECT.format(
        metric=findings.ablation.metric,
        other=other,
        level=level,
        confidence=1 - level,
    )
    return "\n\n".join(["\n".join(lines), how])


def numbers_text(judged: Judged) -> str:
    """A claim's effect, interval and p, in a phrase."""
    found = judged.difference
    if found is None:
        return "effect not known yet: no seed has both arms"
    seeds = counted(found.n, "seed")
    if judged.corrected_p is None:
        return f"effect {signed(found.mean)}, {seeds}"
    p = p_text(judged.corrected_p)
    sign = "" if p.startswith("<") else "= "
    return (
        f"effect {signed(found.mean)} {interval_text(found.interval)}, "
        f"corrected p {sign}{p}, {seeds}"
    )


def claim_table(findings: Findings) -> str:
    """The claims, one a row."""
    return markdown_table([HEADER, *map(_row, findings.claims)])


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
