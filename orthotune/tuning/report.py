"""What a study leaves for people: the table, best.yaml, every trial's history."""

import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orthotune.training.atomic import atomic_write, remove_partials
from orthotune.training.config import TrialConfig
from orthotune.tuning.figure import draw_study
from orthotune.tuning.journal import Status, TrialRecord, equal_budget
from orthotune.tuning.population import (
    Validated,
    population,
    settings_at,
    validated,
)
from orthotune.tuning.search_space import Parameter
from orthotune.tuning.settings import Study
from orthotune.tuning.tracking import Group

BEST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a study leaves for people.

    Args:
        best: The equal-budget trials, best first; of a population those whose schedules
            were validated from scratch.
        metric: What the study minimizes.
        value: That of the best, of a population the mean of its validations.
        table: The best of them as text.
        best_file: Path of the best configuration; None if no trial can be compared.
        figure: Path of the figure.
        trials: Path of the trials' histories.
        schedules: Paths of what the members of a population lived through.
    """

    best: list[TrialRecord]
    metric: str
    value: float | None
    table: str
    best_file: Path | None
    figure: Path
    trials: Path
    schedules: Sequence[Path]

    @property
    def worked(self) -> bool:
        """Whether there is a best."""
        return bool(self.best)

    @property
    def metrics(self) -> dict[str, float]:
        """What the parent run shows: the metric of the best."""
        return {} if self.value is None else {self.metric: self.value}

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
        return f"```\n{self.table}\n```"

    @property
    def paths(self) -> list[Path]:
        """Every file."""
        best = [self.best_file] if self.best_file else []
        return [self.figure, self.trials, *best, *self.schedules]


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
    remove_partials(folder)
    metric, parameters = study.settings.metric, study.space.parameters
    ranking = _ranked(study, records)
    best_file = folder / "best.yaml" if ranking.best else None
    report = Report(
        best=ranking.best,
        metric=metric,
        value=ranking.value,
        table=ranking.table,
        best_file=best_file,
        figure=folder / "study.png",
        trials=folder / "trials.jsonl",
        schedules=_write_schedules(study, folder / "schedules", records, commit),
    )
    write_trials(report.trials, records)
    draw_study(
        report.figure,
        name=study.settings.name,
        metric=metric,
        parameters=parameters,
        records=population(records),
    )
    if best_file is not None:
        why = f"The best of study {study.settings.name}: {ranking.why}"
        write_config(best_file, ranking.best[0], why=why, commit=commit)
    return report


@dataclass(frozen=True, kw_only=True)
class _Ranking:
    """Which trials are best, what the best came to, and why it is the best."""

    best: list[TrialRecord]
    value: float | None
    why: str
    table: str


def _ranked(study: Study, records: Sequence[TrialRecord]) -> _Ranking:
    metric, parameters = study.settings.metric, study.space.parameters
    if study.settings.search.is_population:
        return _validated(study, records)
    best = equal_budget(records, metric)
    value, why = None, ""
    if best:
        value, epochs = best[0].last(metric), best[0].epoch
        why = f"trial {best[0].number}, {metric} {value:.4f} after {epochs} epochs."
    table = best_table(best, metric, parameters)
    return _Ranking(best=best, value=value, why=why, table=table)


def _validated(study: Study, records: Sequence[TrialRecord]) -> _Ranking:
    """A population, whose best is the one whose schedule is best from scratch."""
    metric = study.settings.metric
    items = validated(study, records)
    table = population_table(items, metric, study.space.parameters)
    complete = [item for item in items if item.complete]
    value, why = None, ""
    if complete:
        first, value = complete[0], complete[0].mean
        shown = ", ".join(f"{single:.4f}" for single in first.values)
        why = (
            f"what trial {first.record.number} lived through, {metric} {value:.4f} "
            f"from scratch (mean of {shown}; {first.record.last(metric):.4f} in the "
            "population)."
        )
    best = [item.record for item in complete]
    return _Ranking(best=best, value=value, why=why, table=table)


def _write_schedules(
    study: Study, folder: Path, records: Sequence[TrialRecord], commit: str | None
) -> list[Path]:
    """One file for what each surviving member of a population lived through."""
    if not study.settings.search.is_population:
        return []
    metric, paths = study.settings.metric, []
    for earlier in folder.glob("*.yaml"):  # of an interrupted session
        earlier.unlink()
    for record in equal_budget(population(records), metric):
        folder.mkdir(exist_ok=True)
        why = (
            f"What trial {record.number} of study {study.settings.name} lived through: "
            f"{metric} {record.last(metric):.4f} after {record.epoch} epochs."
        )
        path = folder / f"trial-{record.number:04d}.yaml"
        write_config(path, record, why=why, commit=commit)
        paths.append(path)
    return paths


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
    return _aligned([header, *rows])


def population_table(
    items: Sequence[Validated], metric: str, parameters: Sequence[Parameter]
) -> str:
    """The members of a population as text, one a line.

    Args:
        items: The members, best first.
        metric: What the study minimizes.
        parameters: What it varies; their first and last values are shown.
    """
    header = ["rank", "trial", f"mean {metric}", "sd", "seeds", "in population"]
    header += [_short(parameter.name) for parameter in parameters]
    rows = [
        [
            str(rank) if item.complete else "-",
            str(item.record.number),
            f"{item.mean:.4f}" if item.values else "-",
            f"{statistics.stdev(item.values):.4f}" if len(item.values) > 1 else "-",
            str(len(item.values)),
            f"{item.record.last(metric):.4f}",
            *_ways(item.record, parameters),
        ]
        for rank, item in enumerate(items[:BEST_SHOWN], 1)
    ]
    return _aligned([header, *rows])


def _ways(record: TrialRecord, parameters: Sequence[Parameter]) -> list[str]:
    """From where to where each setting went."""
    config = TrialConfig.from_dict(record.trained)
    start, end = (settings_at(config, parameters, e) for e in (0, record.epoch))
    return [
        _cell(start[name])
        if start[name] == end[name]
        else f"{_cell(start[name])} to {_cell(end[name])}"
        for name in start
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, each column as wide as it must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def _short(name: str) -> str:
    return name.replace("regularizer", "reg").replace("modulation", "mod")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write_config(
    path: Path, record: TrialRecord, *, why: str, commit: str | None
) -> None:
    """Write a trial's whole configuration as a file `orthotune.train` takes.

    Args:
        path: The file.
        record: The trial.
        why: What it is, a sentence.
        commit: Commit of the code that ran it, if known.
    """
    lines = [
        f"# {why}",
        f"# Code: commit {commit}." if commit else "# Code: commit unknown.",
        f"# Again: python -m orthotune.train {shlex.quote(str(path))}",
    ]
    config = TrialConfig.from_dict(record.trained).to_dict()
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
                "lived": record.lived,
                "validates": record.validates,
                "history": dict(record.history),
            }
            file.write(json.dumps(entry).encode() + b"\n")
