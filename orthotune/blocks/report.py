"""The files of an ablation on several blocks, and what its parent run shows."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orthotune.ablation.arm_runs import arm_runs
from orthotune.ablation.figures import draw_all
from orthotune.ablation.live_figures import live_page
from orthotune.ablation.report import AblationReport, write_files
from orthotune.ablation.report import report_writer as ablation_report_writer
from orthotune.ablation.tables import tables
from orthotune.blocks.findings import BlockFindings, find_blocks
from orthotune.blocks.report_text import blocks_markdown, summary_text, where_words
from orthotune.design.ablation import Ablation
from orthotune.figures.live import Live, LivePage
from orthotune.record.identity import Fingerprints
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.statistics.paired import Verdict
from orthotune.tracking.summary import Group
from orthotune.verdicts.findings import Findings


@dataclass(frozen=True, kw_only=True)
class BlockReport:
    """As `AblationReport`, of an ablation on several blocks.

    Args:
        findings: What the files say.
        paths: The files, the report first.
    """

    findings: BlockFindings
    paths: Sequence[Path]

    @property
    def note(self) -> str:
        """The most of the report, in Markdown."""
        whole = "The whole report is the artifact `report.html`."
        return f"# {self.findings.ablation.question}\n\n{self.summary}\n\n{whole}"

    @property
    def summary(self) -> str:
        """The verdicts so far, and the tables behind them."""
        return summary_text(self.findings)

    @property
    def worked(self) -> bool:
        """Whether any cell has given a result."""
        return any(any(part.arms.values()) for part in self.findings.parts)

    @property
    def metrics(self) -> dict[str, float]:
        """Verdicts, counted: those of all blocks, and those over all."""
        found = self.findings
        again = [part.again for part in found.parts if part.again is not None]
        counted = {
            "claims": [one.verdict for part in found.parts for one in part.claims],
            "overall_claims": [one.judgement.verdict for one in found.overall],
        }
        if again:
            counted |= {
                "retuned_claims": [
                    one.verdict for part in again for one in part.claims
                ],
                "overall_retuned_claims": [
                    one.judgement.verdict for one in found.again
                ],
            }
        return {
            f"{name}_{verdict}": float(Counter(verdicts)[verdict])
            for name, verdicts in counted.items()
            for verdict in Verdict
        }

    @property
    def tags(self) -> dict[str, str]:
        """Where every claim holds, in words, for MLflow's columns."""
        return {
            f"claim {k + 1}": f"{claim} {where_words(self.findings, k)}"
            for k, claim in enumerate(self.findings.ablation.claims)
        }

    @property
    def groups(self) -> list[Group]:
        """Every arm of every block that has a result."""
        return [group for part in self.findings.parts for group in arm_runs(part)]


Written = AblationReport | BlockReport


def report_writer(
    ablation: Ablation, fingerprints: Fingerprints, command: str
) -> Callable[[Study, Path, Sequence[TrialRecord], Sequence[str]], Written]:
    """A function that writes the files of an ablation at the end of every session.

    Args:
        ablation: The ablation, with blocks or without.
        fingerprints: Of the data sets it names.
        command: What runs it.
    """

    def write(
        _study: Study,
        folder: Path,
        records: Sequence[TrialRecord],
        commits: Sequence[str],
    ) -> BlockReport:
        found = find_blocks(ablation, records, fingerprints)
        figures = {
            block: draw_all(folder, part, _prefix(block))
            for block, part in found.named()
        }
        whole = blocks_markdown(found, commits, figures, command)
        texts = {"report.md": whole, **block_tables(found.named())}
        drawn = [path for own in figures.values() for path in own]
        live = _live_page(found.named())
        paths = write_files(folder, texts, drawn, records, live)
        return BlockReport(findings=found, paths=paths)

    if not ablation.blocks:
        return ablation_report_writer(ablation, fingerprints, command)
    return write


def _prefix(block: str) -> str:
    """How the files of a block begin."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', block)}_"


def _live_page(parts: Iterable[tuple[str, Findings]]) -> LivePage:
    """The figures of all blocks, with notes that are each block's own."""
    figures: dict[str, Live] = {}
    notes: dict[str, str] = {}
    for block, findings in parts:
        prefix, page = _prefix(block), live_page(findings)
        notes |= {f"{prefix}{key}": note for key, note in page.notes.items()}
        for name, one in page.figures.items():
            traces = [
                {**trace, "customdata": [f"{prefix}{key}" for key in keys]}
                for trace in one.traces
                for keys in [trace.get("customdata", ())]
            ]
            figures[f"{prefix}{name}"] = replace(one, traces=traces)
    return LivePage(figures=figures, notes=notes)


def block_tables(parts: Iterable[tuple[str, Findings]]) -> dict[str, str]:
    """The tables of several blocks as one each, whose first column is the block.

    Args:
        parts: Name and findings of every block.
    """
    found: dict[str, list[str]] = {}
    for block, findings in parts:
        for name, text in tables(findings).items():
            header, *rows = text.splitlines()
            lines = found.setdefault(name, [f"block,{header}"])
            lines += [f"{block},{row}" for row in rows]  # no block needs quotes
    return {name: "\n".join([*lines, ""]) for name, lines in found.items()}
