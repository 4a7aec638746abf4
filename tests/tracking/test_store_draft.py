import contextlib
import os
import sqlite3
import threading

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking import sqlalchemy_store

from orthotune.errors import InterruptedStartError
from orthotune.tracking.sqlite_uri import sqlite_file
from orthotune.tracking.store_draft import store_draft

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def uri(folder):
    return f"sqlite:///{folder}/mlflow.db"


def runs(folder):
    assert (folder / "mlflow.db").exists()  # connecting would make it
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as db:
        return db.execute("SELECT count(*) FROM runs").fetchone()[0]


def test_a_draft_becomes_the_store_when_it_is_wanted(tmp_path):
    with store_draft(uri(tmp_path)) as use:
        assert not (tmp_path / "mlflow.db").exists()
        use()
        assert runs(tmp_path) == 0
        assert os.listdir(tmp_path) == ["mlflow.db"]  # whatever dies from now on
    assert os.listdir(tmp_path) == ["mlflow.db"]
    client = MlflowClient(tracking_uri=uri(tmp_path))
    client.create_run("0")
    assert runs(tmp_path) == 1


def test_nothing_is_left_of_a_draft_that_was_not_wanted(tmp_path):
    with (
        pytest.raises(RuntimeError, match="refused"),
        store_draft(uri(tmp_path)),
    ):
        raise RuntimeError("refused")
    assert os.listdir(tmp_path) == []


def test_a_store_that_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"mine")
    with store_draft(uri(tmp_path)) as use:
        use()
    assert (tmp_path / "mlflow.db").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["mlflow.db"]


def test_a_store_made_meanwhile_by_another_study_is_kept(tmp_path):
    with store_draft(uri(tmp_path)) as use:
        (tmp_path / "mlflow.db").write_bytes(b"theirs")
        use()
    assert (tmp_path / "mlflow.db").read_bytes() == b"theirs"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "postgresql://me@host/db"])
def test_only_a_file_has_a_draft(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(threading.enumerate())
    with store_draft(address) as use:
        assert set(threading.enumerate()) <= before
        use()
    assert os.listdir(tmp_path) == []


def test_a_draft_that_fails_is_no_store(tmp_path, monkeypatch):
    def dying(uri, _root):
        sqlite_file(uri).write_bytes(b"half a store")
        raise OSError("No space left on device")

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", dying)
    with store_draft(uri(tmp_path)) as use:
        use()
        assert not (tmp_path / "mlflow.db").exists()
    assert os.listdir(tmp_path) == []


def test_who_is_interrupted_does_not_wait_for_a_draft_nor_leave_one(
    tmp_path, monkeypatch
):
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def slow(uri, _root):
        try:
            begun.set()
            go_on.wait()
            sqlite_file(uri).write_bytes(b"too late")
        finally:
            over.set()

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", slow)
    with (
        contextlib.suppress(InterruptedStartError),
        store_draft(uri(tmp_path)),
    ):
        begun.wait()
        raise InterruptedStartError
    assert not over.is_set()
    assert os.listdir(tmp_path) == []
    go_on.set()
    over.wait()
    assert os.listdir(tmp_path) == []
