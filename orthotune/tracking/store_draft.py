"""A new SQLite store for MLflow, made in the background while Ray starts.

MLflow builds its tables step by step, in seconds; a file left half-way is broken for
ever.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orthotune.errors import InterruptedStartError
from orthotune.tracking.sqlite_uri import sqlite_file, sqlite_uri

REMOVALS = 100
"""Attempts at removing a folder in which somebody still makes files."""


@contextmanager
def store_draft(uri: str, *, wanted: bool = True) -> Iterator[Callable[[], None]]:
    """Makes a draft in the background; yields a function that puts it in place.

    Nothing is to be seen of the store before, and nothing is left of a draft that is
    not wanted. A draft that fails is none: whoever opens the store hears why.

    Args:
        uri: The store, as `resolve_tracking_uri` gives it; only for a SQLite file that
            is not there a draft is made.
        wanted: Whether to make one at all.
    """
    path = sqlite_file(uri)
    if not wanted or path is None or path.exists():
        yield lambda: None
        return
    # In a folder of its own: once that is gone, nothing can be made there.
    folder = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft, whole, hurry = folder / path.name, threading.Event(), False
    thread = threading.Thread(target=_draw, args=(draft, whole), daemon=True)

    def use() -> None:
        thread.join()
        if whole.is_set():
            # Another study may have made the store meanwhile: then that is the one.
            with contextlib.suppress(OSError):
                os.link(draft, path)
        _remove(folder)

    with contextlib.suppress(OSError):  # then the draft fails
        folder.mkdir(exist_ok=True)  # there is that of a dead process with our number
    thread.start()
    try:
        yield use
    except InterruptedStartError:  # nobody waits seconds for what is thrown away
        hurry = True
        raise
    finally:
        if not hurry:
            thread.join()
        _remove(folder)


def _draw(draft: Path, whole: threading.Event) -> None:
    with contextlib.suppress(Exception):  # MLflow's, SQLAlchemy's, Alembic's
        new_store(draft)
        whole.set()


def new_store(path: Path) -> None:
    """Build MLflow's tables in a new file, which takes the place of an old one.

    Where the artifacts of its first experiment go, which is nobody's, is written into a
    statement as text: a quote in the name of the working folder must not be one there.
    """
    from mlflow.store.tracking.sqlalchemy_store import (  # a second to import
        SqlAlchemyStore,
    )

    path.unlink(missing_ok=True)
    SqlAlchemyStore(sqlite_uri(path), Path("mlruns").resolve().as_uri())


def _remove(folder: Path) -> None:
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
