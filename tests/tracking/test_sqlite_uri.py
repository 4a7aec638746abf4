"""Folders whose names mean something in a URI, with every part of MLflow."""

import json
import os
import shlex
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy
from mlflow import MlflowClient

from orthotune.errors import StudyError
from orthotune.tracking.sqlite_store import prepare_sqlite
from orthotune.tracking.sqlite_uri import sqlite_file
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracker import Tracker
from orthotune.tracking.tracking_uri import check_store, resolve_tracking_uri
from tests.ui import Shown, get

ALL_AT_ONCE = "a?b%20c #d&key=1+é'\"\nf"
FOLDERS = [
    "my runs",
    "runs?v2",
    "50%20dropout",
    "100%",
    "a#b",
    "a&key=1",
    "a+b",
    "dätä",
    "two\nlines",
    "Ann's",
    "a:b@c",
    "/:b",
    "[x];y,z",
    "back\\slash",
    "?mode=ro",
    ALL_AT_ONCE,
]


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory):
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    prepare_sqlite(file)
    return file


def default_in(folder, monkeypatch):
    """The default store of a folder in which a command is started."""
    monkeypatch.chdir(folder)
    return resolve_tracking_uri("sqlite:///mlflow.db")


def track(uri, note):
    """A study without trials, that leaves a file."""
    tracker = Tracker(
        uri=uri, name="tiny", study_id="one", metric="val_error", params={}, tags={}
    )
    tracker.connect()
    tracker.start([])
    tracker.finish(
        Summary(status="FINISHED", metrics={}, tags={}, artifacts=[note], groups=())
    )
    assert tracker.complete, tracker.first_error
    return tracker


def made(folder):
    """What is in a folder, but for what SQLite has there while the store is open."""
    return set(os.listdir(folder)) - {"mlflow.db-wal", "mlflow.db-shm"}


def folder_of(tmp_path, name):
    folder = tmp_path / "top" / name.lstrip("/")
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", FOLDERS)
def test_a_study_is_tracked_beside_itself(name, tmp_path, whole_store, monkeypatch):
    folder = folder_of(tmp_path, name)
    shutil.copy(whole_store, folder)
    uri = default_in(folder, monkeypatch)
    assert sqlite_file(uri) == folder / "mlflow.db"
    check_store(uri)
    note = tmp_path / "note.txt"
    note.write_text("kept")
    track(uri, note)
    assert made(folder) == {"mlartifacts", "mlflow.db"}
    (kept,) = folder.rglob("note.txt")
    assert kept.read_text() == "kept"
    assert os.listdir(tmp_path / "top") == [name.lstrip("/")]
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("tiny")
    (run,) = client.search_runs([experiment.experiment_id])
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == [
        "note.txt"
    ]


def test_a_new_store_and_the_command_that_shows_it(tmp_path, monkeypatch):
    """Alembic makes it; MLflow's server reads it, started by a shell elsewhere."""
    folder = folder_of(tmp_path, ALL_AT_ONCE)
    uri = default_in(folder, monkeypatch)
    note = tmp_path / "note.txt"
    note.write_text("kept")
    tracker = track(uri, note)
    assert made(folder) == {"mlartifacts", "mlflow.db"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Shown(tracker.ui()[0], elsewhere) as server:
        by_name = f"{server}/api/2.0/mlflow/experiments/get-by-name"
        found = get(f"{by_name}?experiment_name=tiny")
        assert json.loads(found)["experiment"]["experiment_id"] == tracker.experiment_id
        run = tracker._runs._parent.run_id
        address = f"{server}/get-artifact?path=note.txt&run_uuid={run}"
        assert get(address) == b"kept"
    assert os.listdir(tmp_path / "top") == [ALL_AT_ONCE]
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_sqlalchemy_opens_the_file_itself(name, tmp_path, monkeypatch):
    folder = folder_of(tmp_path, name)
    engine = sqlalchemy.create_engine(default_in(folder, monkeypatch))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE one (x)")
    engine.dispose()
    assert os.listdir(tmp_path / "top") == [name.lstrip("/")]
    assert os.listdir(folder) == ["mlflow.db"]


def test_the_command_that_shows_a_file_hides_no_part_of_its_name(tmp_path, monkeypatch):
    folder = folder_of(tmp_path, "a&token=1?password=2")
    uri = default_in(folder, monkeypatch)
    tracker = Tracker(uri=uri, name="x", study_id="x", metric="x", params={}, tags={})
    assert shlex.split(tracker.ui()[0])[-1] == uri


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("sqlite:///{}/50%2520dropout/mlflow.db", "50%20dropout"),
        ("sqlite:///{}/runs%3Fv2/mlflow.db", "runs?v2"),
        ("sqlite:///{}/my runs/mlflow.db", "my runs"),
        ("sqlite:///{}/my%20runs/mlflow.db", "my runs"),
    ],
)
def test_a_uri_is_read_as_one(uri, named, tmp_path):
    (tmp_path / named).mkdir()
    found = resolve_tracking_uri(uri.format(tmp_path))
    assert sqlite_file(found) == tmp_path / named / "mlflow.db"
    assert resolve_tracking_uri(found) == found
    # MLflow's own spelling, by which it names its default store.
    theirs = f"sqlite:///{quote(str(tmp_path / named / 'mlflow.db'))}"
    assert resolve_tracking_uri(theirs) == found


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///{}/runs?v2/mlflow.db",
        "sqlite:///{}/mlflow.db?timeout=5",
        "sqlite:///{}/50%20dropout/mlflow.db",
    ],
)
def test_a_path_that_is_no_uri_is_refused_before_anything_is_made(uri, tmp_path):
    for name in ("runs?v2", "50%20dropout"):
        (tmp_path / name).mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StudyError, match=r"\? and % of a name are written %3F and %25"):
        resolve_tracking_uri(uri.format(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_with_a_name_that_is_no_text_is_refused(tmp_path, monkeypatch):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    with pytest.raises(StudyError, match=r"in the encoding of the locale, but got '.*"):
        default_in(folder, monkeypatch)
