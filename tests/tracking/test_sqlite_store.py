"""A SQLite store that this program makes, or opens."""

import contextlib
import sqlite3

import pytest
import sqlalchemy
from mlflow.store.tracking import sqlalchemy_store

from orthotune.tracking.sqlite_store import prepare_sqlite
from orthotune.tracking.sqlite_uri import sqlite_file

FULL, NORMAL = 2, 1  # SQLite's numbers of `synchronous`


def test_a_new_sqlite_store_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"

    class Dying:
        def __init__(self, uri, _root):
            sqlite_file(uri).write_bytes(b"half a store")
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sqlalchemy_store, "SqlAlchemyStore", Dying)
        with pytest.raises(KeyboardInterrupt):
            prepare_sqlite(path)
    assert not path.exists()
    prepare_sqlite(path)
    before = path.stat().st_ino
    prepare_sqlite(path)
    assert path.stat().st_ino == before
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_only_connections_to_a_prepared_file_do_not_wait_for_the_disk(tmp_path):
    prepare_sqlite(tmp_path / "ours.db")
    for name, expected in [("ours", NORMAL), ("other", FULL)]:
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/{name}.db")
        with engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        engine.dispose()
        assert found == expected, name
