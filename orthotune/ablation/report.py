"""The files that an ablation writes: a report as Markdown and HTML, tables, figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orthotune.ablation.arm_runs import arm_runs
from orthotune.ablation.claims_text import verdict_text
from orthotune.ablation.figures import draw_all
from orthotune.ablation.live_figures import live_page
from orthotune.ablation.report_text import (
    arm_table,
    difference_text,
    markdown,
    short_note,
)
from orthotune.ablation.retuning_text import retuned_arm_table
from orthotune.ablation.tables import tables
from orthotune.design.ablation import Ablation
from orthotune.figures.live import LivePage
from orthotune.figures.page import STILL, write_page
from orthotune.files import atomic_write
from orthotune.record.identity import Fingerprints
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.report.search_report import write_trials
from orthotune.statistics.paired import Verdict
from orthotune.tracking.summary import Group
from orthotune.verdicts.findings import Findings, find


@dataclass(frozen=True, kw_only=True)
class AblationReport:
    """The files of an ablation, and what its parent run shows.

    Args:
        findings: What they say.
        note: The most of the report, in Markdown.
        paths: The files, the report first.
    """

    findings: Findings
    note: str
    paths: Sequence[Path]

    @property
    def worked(self) -> bool:
        """Whether any cell has given a result."""
        return any(self.findings.arms.values())

    @property
    def summary(self) -> str:
        """The verdicts so far, and the tables behind them."""
        found = self.findings
        parts = [verdict_text(found), arm_table(found), difference_text(found)]
        if found.retuning is not None and found.again is not None:
            parts.append(retuned_arm_table(found, found.retuning))
        return "\n\n".join(parts)

    @property
    def metrics(self) -> dict[str, float]:
        """Verdicts, counted."""
        found, again = self.findings, self.findings.again
        metrics = _counted("claims", found)
        return metrics | (_counted("retuned_claims", again) if again else {})

    @property
    def tags(self) -> dict[str, str]:
        """The verdicts in words, for MLflow's columns."""
        found, again = self.findings, self.findings.again
        tags = _told("claim", found)
        return tags | (_told("re-tuned claim", again) if again else {})

    @property
    def groups(self) -> list[Group]:
        """Every arm that has a result."""
        return arm_runs(self.findings)


def _counted(name: str, findings: Findings) -> dict[str, float]:
    verdicts = [judged.verdict for judged in findings.claims]
    return {f"{name}_{verdict}": float(verdicts.count(verdict)) for verdict in Verdict}


def _told(name: str, findings: Findings) -> dict[str, str]:
    return {
        f"{name} {number}": f"{judged.verdict}: {judged.claim}"
        for number, judged in enumerate(findings.claims, 1)
    }


def report_writer(
    ablation: Ablation, fingerprints: Fingerprints, command: str
) -> Callable[[Study, Path, Sequence[TrialRecord], Sequence[str]], AblationReport]:
    """A function that writes the files of an ablation at the end of every session.

    Args:
        ablation: The ablation, without blocks.
        fingerprints: Of the data sets it names.
        command: What runs it.
    """

    def write(
        _study: Study,
        folder: Path,
        records: Sequence[TrialRecord],
        commits: Sequence[str],
    ) -> AblationReport:
        findings = find(ablation, records, fingerprints)
        figures = draw_all(folder, findings)
        whole = markdown(findings, commits, figures, command)
        texts = {"report.md": whole, **tables(findings)}
        paths = write_files(folder, texts, figures, records, live_page(findings))
        return AblationReport(findings=findings, note=short_note(findings), paths=paths)

    return write


def write_files(
    folder: Path,
    texts: Mapping[str, str],
    figures: Iterable[Path],
    records: Sequence[TrialRecord],
    live: LivePage = STILL,
) -> list[Path]:
    """Write a report's texts, its page and its trials; all paths, the page first.

    Args:
        folder: Where they go.
        texts: By name, that of `report.md` first.
        figures: Those that are there.
        records: The trials.
        live: What answers in the page.
    """
    for name, content in texts.items():
        with atomic_write(folder / name) as file:
            file.write(content.encode())
    page, trials = folder / "report.html", folder / "trials.jsonl"
    write_page(page, texts["report.md"], live)
    write_trials(trials, records)
    text, *others = (folder / name for name in texts)
    return [page, text, *figures, *others, trials]
