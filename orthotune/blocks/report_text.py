"""The report of an ablation on several blocks: where a claim holds, and over all."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orthotune.ablation.claims_text import EQUIVALENCE_COLUMN, numbers_text
from orthotune.ablation.report_text import (
    METHOD,
    arm_table,
    body,
    difference_text,
    how_it_was_run,
    records_of,
)
from orthotune.blocks.findings import BlockFindings, OverAll
from orthotune.statistics.formatting import interval_text, p_phrase, p_text, signed
from orthotune.statistics.paired import Verdict
from orthotune.text import markdown_table
from orthotune.verdicts.findings import Findings, Judged

HOLDS = {
    Verdict.SUPPORTED: "holds on",
    Verdict.CONTRADICTED: "is contradicted on",
    Verdict.EQUIVALENT: "makes no difference on",
    Verdict.UNDECIDED: "is undecided on",
}

HOW = (
    "An effect is the `{metric}` of a claim's second arm minus that of its first, "
    "above 0 the first is better. On a block it is judged as everywhere, and "
    "corrected for the claims of all blocks together; *over all* is a family of its "
    "own."
)

OVER_ALL = (
    "The mean over blocks is that of random effects: the blocks are taken for a sample "
    "of such data sets, each with an effect of its own. The variance between them is "
    "Paule and Mandel's, the interval Hartung and Knapp's (t with blocks - 1 degrees "
    "of freedom, and a scale of 1 at least): two blocks decide hardly anything over "
    "all. *I^2* is the share of the effects' variance that is not chance, *next block* "
    "where the effect of one more such data set would lie, with the same confidence, "
    "{confidence:.3g}."
)

ON_BLOCKS = METHOD.partition(" Seeds are a sample")[0] + (
    " P-values of claims are corrected for those of all blocks together, those of arms "
    "within each block. Seeds are a sample of random initializations on these data "
    "sets; what the next data set may show is under *Over all blocks*."
)


def blocks_markdown(
    found: BlockFindings,
    commits: Sequence[str],
    figures: Mapping[str, Mapping[Path, str]],
    command: str,
) -> str:
    """The report.

    Args:
        found: What it says.
        commits: Of the code of all sessions.
        figures: What each figure beside it shows, by block.
        command: What runs the ablation.
    """
    parts = [
        f"# {found.ablation.question}",
        where_text(found),
        *over_all_part(found),
        *(
            paragraph
            for block, part in found.named()
            for paragraph in _block_part(block, part, figures[block])
        ),
        *how_it_was_run(
            found.ablation,
            [record for part in found.parts for record in records_of(part)],
            ON_BLOCKS,
            commits,
            command,
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _block_part(
    block: str, part: Findings, figures: Mapping[Path, str]
) -> Iterator[str]:
    yield f"## {block}"
    for paragraph in body(part, figures):
        yield f"#{paragraph}" if paragraph.startswith("## ") else paragraph


def summary_text(found: BlockFindings) -> str:
    """The verdicts, and the arms of every block: what is printed, and MLflow's note.

    Args:
        found: What it says.
    """
    parts = [where_text(found), *over_all_part(found)]
    for block, part in found.named():
        parts += [f"## {block}", arm_table(part), difference_text(part)]
    return "\n\n".join(parts)


def where_text(found: BlockFindings) -> str:
    """Where every claim holds and where not, a sentence each.

    Args:
        found: What it says.
    """
    lines = []
    for k, claim in enumerate(found.ablation.claims):
        words = where_words(found, k)
        numbers = [
            f"{block}: {numbers_text(part.claims[k])}" for block, part in found.named()
        ]
        lines.append("  \n  ".join([f"- **{claim}** {words}", *numbers]))
    return "\n\n".join(["\n".join(lines), HOW.format(metric=found.ablation.metric)])


def where_words(found: BlockFindings, k: int) -> str:
    """Where a claim holds, without the claim.

    Args:
        found: What it says.
        k: Which claim.
    """
    shared = [(block, part.claims[k]) for block, part in found.named()]
    words = f"{_on(shared)}; over all {_verdict(found.overall[k])}"
    if not found.again:
        return words
    again = [
        (block, part.again.claims[k])
        for block, part in found.named()
        if part.again is not None
    ]
    return f"{words}. Re-tuned it {_on(again)}; over all {_verdict(found.again[k])}"


def _on(judged: Sequence[tuple[str, Judged]]) -> str:
    blocks = {
        verdict: [block for block, one in judged if one.verdict == verdict]
        for verdict in HOLDS
    }
    return ", ".join(
        f"{HOLDS[verdict]} {' and '.join(names)}"
        for verdict, names in blocks.items()
        if names
    )


def _verdict(one: OverAll) -> str:
    if one.pooled is None:
        return "not known"
    difference, judgement = one.pooled.difference, one.judgement
    alike = judgement.verdict == Verdict.EQUIVALENT or one.claim.same
    of = f" (of equivalence {p_phrase(judgement.equivalence)})" if alike else ""
    return (
        f"{judgement.verdict} ({signed(difference.mean)} "
        f"{interval_text(difference.interval)}, corrected p "
        f"{p_phrase(judgement.corrected)}{of})"
    )


def over_all_part(found: BlockFindings) -> list[str]:
    """The claims over all blocks.

    Args:
        found: What it says.
    """
    level = found.parts[0].level
    tables = [_table(found.overall)]
    if found.again:
        tables += ["After re-tuning on each block:", _table(found.again)]
    return [
        "## Over all blocks",
        *tables,
        OVER_ALL.format(confidence=1 - level),
    ]


def _table(overall: Sequence[OverAll]) -> str:
    header = [
        "claim",
        "verdict",
        "mean effect",
        "interval",
        "corrected p",
        EQUIVALENCE_COLUMN,
        "blocks",
        "I^2",
        "sd between",
        "next block",
    ]
    return markdown_table([header, *(_row(one) for one in overall)])


def _row(one: OverAll) -> list[str]:
    if one.pooled is None:
        return [str(one.claim), "not known", *["-"] * 8]
    difference = one.pooled.difference
    return [
        str(one.claim),
        one.judgement.verdict,
        signed(difference.mean),
        interval_text(difference.interval),
        p_text(one.judgement.corrected),
        p_text(one.judgement.equivalence),
        str(difference.n),
        f"{one.pooled.i2:.0%}",
        f"{one.pooled.between_sd:.4f}",
        interval_text(one.pooled.next_block),
    ]
