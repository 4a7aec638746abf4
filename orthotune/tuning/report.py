"""What a study leaves for people: the table, best.yaml, every trial's history."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orthotune.training.atomic import atomic_write
from orthotune.training.config import TrialConfig
from orthotune.tuning.figure import draw_study
from orthotune.tuning.journal import Status, TrialRecord, equal_budget
from orthotune.tuning.search_space import Parameter
from orthotune.tuning.settings import Study

BEST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a study leaves for people.

    Args:
        best: The equal-budget trials, best first.
        table: The best of them as text.
        best_file: Path of the best configuration; None if no trial can be compared.
        figure: Path of the figure.
        trials: Path of the trials' histories.
    """

    best: list[TrialRecord]
    table: str
    best_file: Path | None
    figure: Path
    trials: Path

    @property
    def paths(self) -> list[Path]:
        """Every file."""
        return [self.figure, self.trials, *filter(None, [self.best_file])]


def write_report(
    study: Study, folder: Path, records: Sequence[TrialRecord], commit: str | None
) -> Report:
    """Write the files of a study.

    Args:
        study: The study.
        folder: Where they go; it must exist.
        records: Its trials.
        commit: Commit of the code, if known.
    """
    for stray in folder.glob(".*.partial"):  # of a process that died while it wrote
        stray.unlink()
    metric, parameters = study.settings.metric, study.space.parameters
    best = equal_budget(records, metric)
    report = Report(
        best=best,
        table=best_table(best, metric, parameters),
        best_file=folder / "best.yaml" if best else None,
        figure=folder / "study.png",
        trials=folder / "trials.jsonl",
    )
    write_trials(report.trials, records)
    draw_study(
        report.figure,
        name=study.settings.name,
        metric=metric,
        parameters=parameters,
        records=records,
    )
    if report.best_file is not None:
        write_best(
            report.best_file,
            best[0],
            study=study.settings.name,
            metric=metric,
            commit=commit,
        )
    return report


def counts(records: Sequence[TrialRecord]) -> dict[Status, int]:
    """How many trials ended how, those that did."""
    statuses = [record.status for record in records]
    return {status: statuses.count(status) for status in Status if status in statuses}


def divergence_rate(records: Sequence[TrialRecord]) -> float:
    """The fraction of the trials that have ended which diverged; 0 before any has."""
    ended = [record for record in records if record.status.ended]
    diverged = [record for record in ended if record.status == Status.DIVERGED]
    return len(diverged) / len(ended) if ended else 0.0


def best_table(
    best: Sequence[TrialRecord], metric: str, parameters: Sequence[Parameter]
) -> str:
    """The best equal-budget trials as text, one a line.

    Args:
        best: The trials, best first.
        metric: What the study minimizes.
        parameters: What it varies.
    """
    header = ["rank", "trial", metric, "epochs", *(_short(p.name) for p in parameters)]
    rows = [
        [
            str(rank),
            str(record.number),
            f"{record.last(metric):.4f}",
            str(record.epoch),
            *(_cell(record.fields.get(p.name)) for p in parameters),
        ]
        for rank, record in enumerate(best[:BEST_SHOWN], 1)
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in [header, *rows]
    )


def _short(name: str) -> str:
    return name.replace("regularizer", "reg").replace("modulation", "mod")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write_best(
    path: Path, record: TrialRecord, *, study: str, metric: str, commit: str | None
) -> None:
    """Write a trial's whole configuration as a file `orthotune.train` takes.

    Args:
        path: The file.
        record: The trial.
        study: Name of the study.
        metric: What it minimizes.
        commit: Commit of the code that ran it, if known.
    """
    lines = [
        f"# The best of study {study}: trial {record.number}, {metric} "
        f"{record.last(metric):.4f} after {record.epoch} epochs.",
        f"# Code: commit {commit}." if commit else "# Code: commit unknown.",
        f"# Again: python -m orthotune.train {shlex.quote(str(path))}",
    ]
    config = TrialConfig.from_dict(record.fields).to_dict()
    # JSON scalars are YAML that reads back as what it was, whatever a string holds.
    lines += [f"{name}: {json.dumps(value)}" for name, value in config.items()]
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def write_trials(path: Path, records: Sequence[TrialRecord]) -> None:
    """Write every trial with its history as one JSON object a line."""
    with atomic_write(path) as file:
        for record in records:
            entry: Mapping[str, object] = {
                "number": record.number,
                "key": record.key,
                "status": str(record.status),
                "error": record.error,
                "fields": record.fields,
                "history": record.history,
            }
            file.write(json.dumps(entry).encode() + b"\n")
