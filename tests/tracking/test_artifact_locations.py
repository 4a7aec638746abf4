"""A store that was moved, read by MLflow's own client; whose is not ours stays."""

import contextlib
import os
import shutil
import sqlite3

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking._tracking_service import utils as service

from orthotune.errors import StudyError
from orthotune.tracking.artifact_locations import (
    artifact_location,
    check_artifacts,
    follow,
)
from orthotune.tracking.sqlite_store import prepare_sqlite
from orthotune.tracking.sqlite_uri import sqlite_uri
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracker import Tracker
from tests.ui import Shown, get

OURS = ("tiny", "other one")
FOREIGN = {  # experiments of somebody else, by their names
    "theirs": "{folder}/elsewhere",
    "like ours": "{folder}/mlartifacts/like%20ours",  # but no study of ours is in it
    "bucket": "s3://bucket/mlartifacts/bucket",
    "default": None,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a store of two studies of ours, and of others; never written to."""
    folder = tmp_path_factory.mktemp("made") / "made"
    folder.mkdir()
    prepare_sqlite(folder / "mlflow.db")
    client = client_of(folder)
    for name in OURS:
        track(folder, name, "before")
    for name, place in FOREIGN.items():
        address = place and place.format(folder=folder.as_uri())
        experiment = client.create_experiment(name, artifact_location=address)
        client.create_run(experiment, run_name=name)
        client.log_param(client.create_run(experiment).info.run_id, "a", folder)
    (run,) = runs(client, "tiny")
    client.log_dict(run.info.run_id, {"a": 1}, "model/MLmodel")
    client.create_registered_model("net")
    source = f"{run.info.artifact_uri}/model"
    client.create_model_version("net", source, run_id=run.info.run_id)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


@pytest.fixture
def old(made, tmp_path):
    """The folder, where it was made; a test may do with it what it likes."""
    forget()
    backup = tmp_path / "backup"
    shutil.copytree(made, backup)
    yield made
    shutil.rmtree(made, ignore_errors=True)
    made.unlink() if made.is_file() else None
    shutil.move(backup, made)


def forget():
    """A process remembers where runs are, and open files; no folder moves under one."""
    service._artifact_repos_cache.clear()
    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()


def client_of(folder):
    return MlflowClient(tracking_uri=sqlite_uri(folder / "mlflow.db"))


def runs(client, name):
    experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id])


def track(folder, name, content):
    """A session of a study of ours that leaves a file."""
    forget()
    note = folder / "note.txt"
    note.write_text(content)
    tracker = Tracker(
        uri=sqlite_uri(folder / "mlflow.db"),
        name=name,
        study_id=name,
        metric="val_error",
        params={},
        tags={},
    )
    tracker.connect()
    tracker.start([])
    metrics = {"num_finished": float(len(content))}  # something is new
    tracker.finish(
        Summary(
            status="FINISHED",
            metrics=metrics,
            tags={},
            artifacts=[note.rename(folder / f"{content}.txt")],
            groups=(),
        )
    )
    assert tracker.complete, tracker.first_error
    return tracker


def files(folder, name):
    """The files of a study's run, as MLflow's client finds them, with their content."""
    forget()
    client = client_of(folder)
    (run,) = runs(client, name)
    found = {}
    for file in client.list_artifacts(run.info.run_id):
        if not file.is_dir:
            path = client.download_artifacts(run.info.run_id, file.path)
            with open(path) as content:
                found[file.path] = content.read()
    return found


def rows(folder):
    """All that the store holds."""
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store:
        names = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: store.execute(f"SELECT * FROM {name}").fetchall()
            for (name,) in names.fetchall()
        }


def addresses(folder):
    return {
        str(cell)
        for table in rows(folder).values()
        for row in table
        for cell in row
        if str(cell).startswith(("file:", "s3:", "/"))
    }


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_what_was_moved_is_found_and_goes_on_in_the_new_place(there, old, tmp_path):
    new = tmp_path / "new? 100%"
    shutil.move(old, new)
    if there == "a file":
        old.touch()  # another machine: the old place cannot be made
    track(new, "tiny", "after")
    assert files(new, "tiny") == {"before.txt": "before", "after.txt": "after"}
    assert files(new, "other one") == {"before.txt": "before"}
    version = client_of(new).get_model_version_download_uri("net", "1")
    assert version.startswith((new / "mlartifacts" / "tiny").as_uri() + "/")
    assert old.is_file() if there == "a file" else not old.exists()


@pytest.mark.soak
def test_the_ui_shows_what_was_moved_and_what_is_new(old, tmp_path):
    new = tmp_path / "new"
    shutil.move(old, new)
    command = track(new, "tiny", "after").ui()[0]
    (run,) = runs(client_of(new), "tiny")
    with Shown(command, tmp_path) as server:
        for content in ("before", "after"):
            address = f"path={content}.txt&run_uuid={run.info.run_id}"
            assert get(f"{server}/get-artifact?{address}") == content.encode()


def test_a_copy_is_a_store_of_its_own(old, tmp_path):
    new = tmp_path / "new"
    shutil.copytree(old, new)
    before, there = rows(old), sorted((old / "mlartifacts").rglob("*"))
    track(new, "tiny", "after")
    assert files(new, "tiny") == {"before.txt": "before", "after.txt": "after"}
    assert files(old, "tiny") == {"before.txt": "before"}
    assert rows(old) == before
    assert sorted((old / "mlartifacts").rglob("*")) == there


def test_nothing_but_our_addresses_changes(old, tmp_path, capsys):
    new = tmp_path / "new"
    shutil.copytree(old, new)
    before = rows(new)
    follow(new / "mlflow.db", "tiny")
    assert capsys.readouterr().err == (
        f"orthotune: {new}/mlflow.db was moved, or copied: MLflow looks for the files "
        f"of its runs in {new}/mlartifacts now.\n"
    )
    after = rows(new)
    changed = [
        (was, now)
        for table in before
        for one, other in zip(before[table], after[table], strict=True)
        for was, now in zip(one, other, strict=True)
        if was != now
    ]
    ours = [artifact_location(old / "mlflow.db", name) for name in OURS]
    assert {was for was, _ in changed} == {
        *ours,
        *(
            one
            for one in addresses(old)
            if one.startswith(tuple(f"{x}/" for x in ours))
        ),
    }
    for was, now in changed:
        assert now == was.replace(old.as_uri(), new.as_uri(), 1)
    follow(new / "mlflow.db", "tiny")
    assert rows(new) == after
    assert capsys.readouterr().err == ""


def test_a_file_that_was_moved_alone_finds_its_artifacts_where_they_are(old, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(old / "mlflow.db", new)
    before = rows(new)
    follow(new / "mlflow.db", "tiny")
    assert rows(new) == before
    track(new, "tiny", "after")
    assert files(new, "tiny") == {"before.txt": "before", "after.txt": "after"}
    assert not (new / "mlartifacts").exists()


def test_all_addresses_change_or_none(old, tmp_path):
    new = tmp_path / "new"
    shutil.copytree(old, new)
    with contextlib.closing(sqlite3.connect(new / "mlflow.db")) as store:
        store.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON runs "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        store.commit()
    before = rows(new)
    with pytest.raises(sqlite3.Error, match="refused"):
        follow(new / "mlflow.db", "tiny")
    assert rows(new) == before


@pytest.mark.parametrize("name", ["mlartifacts", "mlartifacts/tiny"])
def test_a_place_that_cannot_be_written_to_is_refused(name, tmp_path):
    (tmp_path / "mlartifacts").mkdir()
    place = tmp_path / name
    if place.is_dir():
        place.rmdir()
    place.touch()
    with pytest.raises(StudyError, match=f"reports can be kept, but {place} is no fol"):
        check_artifacts(sqlite_uri(tmp_path / "mlflow.db"), "tiny")
    check_artifacts("http://127.0.0.1:5000", "tiny")
    assert os.listdir(tmp_path) == ["mlartifacts"]
