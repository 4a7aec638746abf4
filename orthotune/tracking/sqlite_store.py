"""A SQLite file for MLflow: whole or absent, read while written, quick to commit."""

import contextlib
import os
import sqlite3
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

from orthotune.tracking.store_draft import new_store

_prepared: set[str] = set()


def prepare_sqlite(path: Path) -> None:
    """Make a new store whole or not at all, and let it be read while it is written.

    MLflow builds its tables step by step; a file left half-way is broken for ever.

    Args:
        path: The file, absolute. Connections that this process opens to it from now on
            do not wait for the disk at every commit.
    """
    if not path.exists():
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        new_store(partial)
        partial.replace(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
    _prepared.add(str(path.resolve()))
    if not event.contains(Engine, "connect", _do_not_wait):
        event.listen(Engine, "connect", _do_not_wait)


def _do_not_wait(connection: object, _record: object) -> None:
    """Let a commit be with the system, and the disk when the log is folded in.

    A power cut takes the last commits, in their order, and never the file: the next
    session finds them missing, and writes them again. SQLite does not keep the setting
    in the file, and MLflow has no setting for it.
    """
    if isinstance(connection, sqlite3.Connection):
        (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
        if file in _prepared:
            connection.execute("PRAGMA synchronous=NORMAL")
