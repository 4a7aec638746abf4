"""The location of MLflow's artifacts: beside its SQLite file.

MLflow keeps an absolute address for every experiment, run and model version. A folder
that was moved, or copied, has the addresses of the old place: MLflow would show nothing
of what came along, and write what is new where the folder was. So our own addresses
follow the file.
"""

import contextlib
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from orthotune.errors import StudyError
from orthotune.storage.permission import trouble_with
from orthotune.tracking.sqlite_uri import sqlite_file

FOLDER = "mlartifacts"

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""The columns in which MLflow keeps addresses of artifacts."""

Moved = tuple[str, str]
"""An address of an experiment's artifacts, and the one that takes its place."""


def artifact_location(file: Path, name: str) -> str:
    """The address of an experiment's artifacts.

    Args:
        file: The SQLite file, absolute.
        name: The experiment's.

    Example:
        >>> artifact_location(Path("/my runs/mlflow.db"), "depth")
        'file:///my%20runs/mlartifacts/depth'
    """
    return (file.parent / FOLDER / name).as_uri()


def check_artifacts(uri: str, name: str) -> None:
    """Refuse a place in which the artifacts of a study cannot be kept.

    Args:
        uri: MLflow's store, as `resolve_tracking_uri` gives it.
        name: The study's.

    Raises:
        StudyError: If they are to be beside a file and cannot be written there.
    """
    file = sqlite_file(uri)
    trouble = trouble_with(file.parent / FOLDER / name, folder=True) if file else ""
    if trouble:
        raise StudyError(
            "--tracking-uri must be a file beside which a study's reports can be kept, "
            f"but {trouble}. Choose another one, or a server."
        )


def follow(file: Path, name: str) -> None:
    """Correct the addresses of our experiments if the database was moved.

    Ours are those whose address has our form and that hold a study of ours, or have the
    name. Where artifacts are still at the old place and none are here, the file alone
    was moved, and they stay.

    Args:
        file: The SQLite file, absolute.
        name: Of the experiment in question.

    Raises:
        sqlite3.Error: If the file cannot be read, or not be written to.
    """
    with contextlib.closing(sqlite3.connect(file)) as store:
        moved = list(_moved(store, file, name))
        with store:  # all of it or nothing
            for table, column in _ADDRESSES:
                store.executemany(
                    f"UPDATE {table} SET {column} = "
                    f":new || substr({column}, 1 + length(:old)) "
                    f"WHERE {column} = :old "
                    f"OR substr({column}, 1, 1 + length(:old)) = :old || '/'",
                    [{"old": old, "new": new} for old, new in moved],
                )
    if moved:
        with contextlib.suppress(OSError):
            sys.stderr.write(
                f"orthotune: {file} was moved, or copied: MLflow looks for the files "
                f"of its runs in {file.parent / FOLDER} now.\n"
            )


def _moved(store: sqlite3.Connection, file: Path, name: str) -> Iterator[Moved]:
    rows = store.execute("SELECT name, artifact_location FROM experiments").fetchall()
    for experiment, old in rows:
        new = artifact_location(file, experiment)
        has_our_form = old.endswith(f"/{FOLDER}/{quote(experiment)}")
        if old == new or not has_our_form or not old.startswith("file:///"):
            continue
        if experiment != name and not store.execute(_IS_OURS, [old]).fetchone():
            continue
        there, here = (unquote(one.removeprefix("file://")) for one in (old, new))
        if os.path.isdir(here) or not os.path.isdir(there):
            yield old, new


_IS_OURS = """
SELECT 1 FROM experiments JOIN runs USING (experiment_id) JOIN tags USING (run_uuid)
WHERE artifact_location = ? AND key = 'orthotune.study_id' LIMIT 1
"""
