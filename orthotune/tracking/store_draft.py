"""A new SQLite store for MLflow, made in the background while Ray starts.

MLflow builds its tables step by step, in seconds; a file left half-way is broken for
ever.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orthotune.tracking.sqlite_uri import sqlite_file, sqlite_uri


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
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    whole = threading.Event()
    thread = threading.Thread(target=_draw, args=(draft, whole), daemon=True)

    def use() -> None:
        thread.join()
        if whole.is_set():
            # Another study may have made the store meanwhile: then that is the one.
            with contextlib.suppress(OSError):
                os.link(draft, path)
        _remove(draft)

    thread.start()
    try:
        yield use
    finally:
        thread.join()
        _remove(draft)


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

    path.unlink(missing_ok=True)  # of a dead process with our number
    SqlAlchemyStore(sqlite_uri(path), Path("mlruns").resolve().as_uri())


def _remove(draft: Path) -> None:
    for left in draft.parent.glob(f"{draft.name}*"):  # SQLite's own beside it, too
        with contextlib.suppress(OSError):
            left.unlink()
