"""The files that a search writes: a report, best.yaml, every trial's history."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orthotune.config.config_file import config_text
from orthotune.config.trial import TrialConfig
from orthotune.figures.page import write_page
from orthotune.files import atomic_write
from orthotune.record.population import population
from orthotune.record.provenance import commits_text
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.report.drawn import draw_all, live_page, placed
from orthotune.report.findings import SearchFindings, find
from orthotune.report.front import number
from orthotune.report.ranking import Ranking
from orthotune.report.search_text import markdown, short_note
from orthotune.text import aligned
from orthotune.tracking.summary import Group


@dataclass(frozen=True, kw_only=True)
class Report:
    """The files of a search, and what its run in MLflow shows.

    Args:
        findings: What its trials say.
        page: The report as a page.
        best_file: Path of the best configuration, or of the first in the search where
            nothing was confirmed; None if no trial can be compared.
        others: Text and figures of the report, and the trials' histories.
        schedules: Paths of what the members of a population lived through, or of the
            configurations of a front.
    """

    findings: SearchFindings
    page: Path
    best_file: Path | None
    others: Sequence[Path]
    schedules: Sequence[Path]

    @property
    def best(self) -> list[TrialRecord]:
        """The trials that can be compared, best first."""
        return self.findings.ranking.best

    @property
    def value(self) -> float | None:
        """The metric of the best: the mean over its fresh seeds, or its own."""
        return self.findings.ranking.value

    @property
    def table(self) -> str:
        """The best of them as text."""
        return aligned(self.findings.ranking.rows)

    @property
    def choices(self) -> str:
        """What each choice came to, as text; empty where nothing is categorical."""
        rows = self.findings.choices
        return aligned(rows) if rows[1:] else ""

    @property
    def worked(self) -> bool:
        """Whether there is a best."""
        return bool(self.best)

    @property
    def metrics(self) -> dict[str, float]:
        """What the parent run shows: the metric of the best."""
        settings, ranking = self.findings.study.settings, self.findings.ranking
        if ranking.is_front and ranking.best:
            lowest = {
                name: min(record.last(name) for record in ranking.best)
                for name in settings.objectives
            }
            return {**lowest, "front_size": float(len(ranking.best))}
        return {} if self.value is None else {settings.metric: self.value}

    @property
    def tags(self) -> dict[str, str]:
        """None: what there is to say of a search is in its metrics."""
        return {}

    @property
    def groups(self) -> tuple[Group, ...]:
        """None: every trial of a search is a configuration of its own."""
        return ()

    @property
    def note(self) -> str:
        """The description of the parent run, in Markdown."""
        return short_note(self.findings)

    @property
    def paths(self) -> list[Path]:
        """Every file, the report first."""
        best = [self.best_file] if self.best_file else []
        return [self.page, *best, *self.others, *self.schedules]


def write_report(
    study: Study,
    folder: Path,
    records: Sequence[TrialRecord],
    commits: Sequence[str],
    command: str = "",
) -> Report:
    """Write the files of a study.

    Args:
        study: The study.
        folder: Where they go; it must exist.
        records: Its trials.
        commits: Of the code of all sessions.
        command: What runs it; the study's file alone where none is given.
    """
    findings = find(study, records)
    ranking = findings.ranking
    histories, text = folder / "trials.jsonl", folder / "report.md"
    write_trials(histories, records)
    schedules = _write_schedules(study, folder / "schedules", records, commits)
    schedules += _write_front(study, folder / "front", ranking, commits)
    single = ranking.best and not ranking.is_front
    best_file = folder / "best.yaml" if single else None
    if best_file is not None:
        why = f"{ranking.title}, of study {study.settings.name}: {ranking.why}"
        write_config(best_file, ranking.best[0], why=why, commits=commits)
    trials = placed(findings)
    figures = draw_all(folder, findings, trials)
    whole = markdown(findings, figures, commits, command)
    with atomic_write(text) as file:
        file.write(whole.encode())
    page = folder / "report.html"
    write_page(page, whole, live_page(findings, trials))
    return Report(
        findings=findings,
        page=page,
        best_file=best_file,
        others=[text, *figures.values(), histories],
        schedules=schedules,
    )


def _write_schedules(
    study: Study, folder: Path, records: Sequence[TrialRecord], commits: Sequence[str]
) -> list[Path]:
    """One file for the hyperparameter history of each surviving member."""
    if not study.settings.search.is_population:
        return []
    metric = study.settings.metric
    reasons = [
        (
            record,
            f"What trial {record.number} of study {study.settings.name} lived through: "
            f"{metric} {record.last(metric):.4f} after {record.epoch} epochs.",
        )
        for record in equal_budget(population(records), metric)
    ]
    return _write_configs(folder, reasons, commits)


def _write_front(
    study: Study, folder: Path, ranking: Ranking, commits: Sequence[str]
) -> list[Path]:
    """One file for the configuration of each trial of a front."""
    reasons = []
    for record in ranking.best if ranking.is_front else []:
        values = ", ".join(
            f"{name} {number(record.last(name))}" for name in study.settings.objectives
        )
        why = (
            f"Trial {record.number} of the front of study {study.settings.name}: "
            f"{values} after {record.epoch} epochs."
        )
        reasons.append((record, why))
    return _write_configs(folder, reasons, commits)


def _write_configs(
    folder: Path,
    reasons: Sequence[tuple[TrialRecord, str]],
    commits: Sequence[str],
) -> list[Path]:
    """One file for each trial and why it is there, in place of an earlier session's."""
    for earlier in folder.glob("*.yaml"):
        earlier.unlink()
    paths = []
    for record, why in reasons:
        folder.mkdir(exist_ok=True)
        path = folder / f"trial-{record.number:04d}.yaml"
        write_config(path, record, why=why, commits=commits)
        paths.append(path)
    return paths


def write_config(
    path: Path, record: TrialRecord, *, why: str, commits: Sequence[str]
) -> None:
    """Write a trial's whole configuration as a file `orthotune.train` takes.

    Args:
        path: The file.
        record: The trial.
        why: What it is, a sentence.
        commits: Of the code that ran the study, in which it is.
    """
    comments = [
        why,
        f"Code: {commits_text(commits)}.",
        f"Again: python -m orthotune.train {shlex.quote(str(path))}",
    ]
    text = config_text(TrialConfig.from_dict(record.trained), comments)
    with atomic_write(path) as file:
        file.write(text.encode())


def write_trials(path: Path, records: Sequence[TrialRecord]) -> None:
    """Write every trial with its history as one JSON object a line."""
    with atomic_write(path) as file:
        for record in records:
            entry: dict[str, object] = {
                "number": record.number,
                "key": record.key,
                "status": str(record.status),
                "error": record.error,
                "fields": record.fields,
                "lived": record.changed_fields,
                "validates": record.validates,
                "reused": record.reused,
                "computed_by": record.computed_by,
                "history": dict(record.history),
            }
            if record.audit is not None:
                entry["audit"] = dict(record.audit)
            file.write(json.dumps(entry).encode() + b"\n")
