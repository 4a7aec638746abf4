"""orthotune studies: what there is of studies; list, show, export, delete."""

import argparse
import os
import sys
from pathlib import Path

from orthotune.api import STORAGE, default_tracking_uri
from orthotune.commands.common import EXIT_FAILED, EXIT_OK
from orthotune.commands.completion import completed
from orthotune.commands.parsing import Command, add_import_option
from orthotune.console import note, say
from orthotune.errors import FileError, StudyError
from orthotune.files import atomic_write
from orthotune.storage.redaction import without_secrets

SHOWN = 5
"""The best trials that are shown."""


def _configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _action(actions, "list", "Every study: its trials, and the best value.", _list)
    _with_name(_action(actions, "show", "What a study has come to.", _show))
    export = _action(actions, "export", "Write a study's trials as a table.", _export)
    _with_name(export)
    export.add_argument(
        "--csv", required=True, metavar="FILE", help="a row a trial; - for here"
    )
    delete = _action(
        actions, "delete", "Delete a study's files, and its runs in MLflow.", _delete
    )
    _with_name(delete)
    delete.add_argument(
        "--tracking-uri",
        default=default_tracking_uri(),
        metavar="URI",
        help="where its runs are (default: $MLFLOW_TRACKING_URI, or ./mlflow.db)",
    )
    delete.add_argument("--yes", action="store_true", help="do not ask")


def _action(actions, name: str, summary: str, execute) -> argparse.ArgumentParser:  # noqa: ANN001 - argparse has no public names for these
    parser = actions.add_parser(name, help=summary, description=summary)
    add_import_option(parser)
    parser.add_argument(
        "--storage",
        default=STORAGE,
        type=os.path.expanduser,
        metavar="DIR_OR_URI",
        help="where the studies are (default: studies)",
    )
    parser.set_defaults(action=execute)
    return parser


def _with_name(parser: argparse.ArgumentParser) -> None:
    name = parser.add_argument(
        "name", metavar="NAME", help="the study, or the path of its folder"
    )
    completed(name, _known)


def _known() -> list[str]:
    from orthotune.archive.names import study_names

    return study_names(STORAGE)


def _studies(options: argparse.Namespace) -> int:
    return options.action(options)


def _list(options: argparse.Namespace) -> int:
    from orthotune.archive.loaded import load_study
    from orthotune.archive.names import study_names
    from orthotune.report.status_counts import counts_text
    from orthotune.text import aligned

    rows = [["study", "trials", "metric", "lowest", "confirmed", "how they stand"]]
    for name in study_names(options.storage):
        try:
            study = load_study(name, options.storage)
            best = study.best_value
            value = "-" if best is None else f"{best:.4f}"
            sure = "-" if best is None else "yes" if study.confirmed else "no"
            stand = counts_text(study.records) + (", runs now" if study.running else "")
            metrics = " ".join(study.metrics)
            value = f"front of {len(study.front)}" if study.metrics[1:] else value
            number = str(len(study.records))
            rows.append([name, number, metrics, value, sure, stand])
        except StudyError as err:
            note(without_secrets(str(err)))
    if rows[1:]:
        say(aligned(rows))
    else:
        note(f"there is no study in {without_secrets(options.storage)}.")
    return EXIT_OK


def _show(options: argparse.Namespace) -> int:
    from orthotune.archive.loaded import REPORT, load_study
    from orthotune.report.status_counts import counts_text

    study = load_study(options.name, options.storage)
    say(f"study      {study.name} ({study.folder})")
    say(f"minimizes  {' and '.join(study.metrics)}")
    say(f"trials     {len(study.records)}: {counts_text(study.records)}")
    if study.running:
        say("           a process of this machine runs it now")
    if study.best_value is not None:
        value = f"{study.metric} {study.best_value:.4f}"
        what, more = ("best", "") if study.confirmed else ("first", ", not confirmed")
        say(f"{what:<11}trial {study.best_trial}, {value}{more}")
    if study.metrics[1:]:
        say(f"front      trials {', '.join(map(str, study.front))}")
    report = study.folder / REPORT
    say(f"report     {report if report.exists() else 'none yet'}")
    ended = study.trials
    if "confirms" in ended:  # of the others the table speaks
        ended = ended.loc[ended["confirms"].isna()]
    ended = ended.dropna(axis="columns", how="all")
    if study.metric in ended:
        ended = ended.sort_values(study.metric, kind="stable").head(SHOWN)
        table = ended.drop(columns=["started", "ended", "error"], errors="ignore")
        say(f"\n{table.to_string(index=False)}")
    return EXIT_OK


def _export(options: argparse.Namespace) -> int:
    from orthotune.archive.loaded import load_study

    study = load_study(options.name, options.storage)
    text = study.trials.to_csv(index=False)
    if options.csv == "-":
        say(text.rstrip("\n"))
        return EXIT_OK
    try:
        with atomic_write(Path(options.csv)) as file:
            file.write(text.encode())
    except OSError as err:
        raise FileError(
            f"--csv must be a file that can be written, but {options.csv}: "
            f"{err.strerror or err}. Choose another one."
        ) from err
    return EXIT_OK


def _delete(options: argparse.Namespace) -> int:
    from orthotune.archive.deletion import delete_study
    from orthotune.archive.loaded import load_study
    from orthotune.storage.folder import joined
    from orthotune.text import counted
    from orthotune.tracking.deletion import DeletableRuns
    from orthotune.tracking.tracking_uri import resolve_tracking_uri

    study = load_study(options.name, options.storage)
    if study.running:
        raise StudyError(
            f"A study must not run to be deleted, but a process runs {study.name}. "
            "Stop it first, with Ctrl-C."
        )
    uri = resolve_tracking_uri(options.tracking_uri)
    runs = DeletableRuns(uri, study.name, study.id)
    place = without_secrets(joined(study.storage, study.name))
    question = (
        f"Delete {study.name} ({counted(len(study.records), 'trial')} in "
        f"{place}) and its {counted(len(runs.ids), 'run')} in MLflow "
        f"({without_secrets(uri)})? [y/N] "
    )
    if not options.yes and not _agreed(question):
        note("nothing was deleted.")
        return EXIT_FAILED
    delete_study(study, runs)
    say(f"Deleted {study.name}, and {counted(len(runs.ids), 'run')} in MLflow.")
    return EXIT_OK


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise FileError("--yes must be given where nobody can be asked.")
    return input(question).strip().lower() in ("y", "yes")


COMMAND = Command(
    name="studies",
    summary="List, show, export or delete studies.",
    examples=(
        "orthotune studies list",
        "orthotune studies export modulation --csv trials.csv",
    ),
    configure=_configure,
    execute=_studies,
)
