"""The end of a session in MLflow: what is marked, kept and closed."""

import dataclasses
import itertools
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orthotune.tracking import tracker as tracking
from orthotune.tracking.summary import Group
from orthotune.tracking.tracked_run import INCOMPLETE
from tests.crashes import HANGING_S
from tests.tracking.sessions import (
    SOAK,
    Deaf,
    Dying,
    Refusing,
    Session,
    Store,
    assert_mirrors,
    history,
    runs,
)

pytestmark = pytest.mark.usefixtures("quick")


def test_a_run_is_marked_until_what_is_left_for_people_is_there(uri, tmp_path):
    """What has ended is looked at again only if it says that a report is missing."""
    session = Session(tmp_path, uri, "order").start()
    session.play([0.5, 0.4, 0.25])
    store, calls = session.tracker._runs.client, []

    class Noting:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(store, name)

    session.tracker._runs.client = Noting()
    (tmp_path / "note.txt").write_text("kept")
    session.finish(artifacts=[tmp_path / "note.txt"])
    assert calls[-4:] == ["log_batch", "set_terminated", "log_artifact", "delete_tag"]
    assert INCOMPLETE not in runs(uri, "order")["order"].data.tags


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("kept")
    return path


def kept(uri, name):
    """The files of a study's run."""
    run = runs(uri, name)[name]
    client = MlflowClient(tracking_uri=uri)
    return [file.path for file in client.list_artifacts(run.info.run_id)]


@pytest.mark.parametrize("status", ["FINISHED", "KILLED", "FAILED"])
def test_files_that_cannot_be_kept_leave_no_run_open(
    status, uri, tmp_path, note, impatient, capsys
):
    name = f"files-{status}"
    session = Session(tmp_path, uri, name).start()
    session.play([0.5, 0.4, 0.25])
    group = Group(name="arm", params={}, metrics={}, curve={}, tags={})
    session.play([0.5, 0.4, 0.25], group="arm")
    place = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts"
    place.mkdir(exist_ok=True)
    (place / name).touch()  # nobody can write below it
    session.finish(status, artifacts=[note], groups=[group])
    assert not session.tracker.complete
    assert "Not a directory" in session.tracker.first_error
    assert capsys.readouterr().err.count("\n") == 1
    found = runs(uri, name)
    ends = {one: run.info.status for one, run in found.items()}
    trials = {"trial-0000": "FINISHED", "arm, seed 0": "FINISHED"}
    assert ends == {name: status, "arm": status, **trials}
    assert found[name].data.metrics["val_error"] == 0.25
    assert INCOMPLETE in found[name].data.tags

    (place / name).unlink()
    later = Session(tmp_path, uri, name).start()
    later.finish(status, artifacts=[note], groups=[group])
    assert later.tracker.complete
    assert kept(uri, name) == ["note.txt"]
    assert INCOMPLETE not in runs(uri, name)[name].data.tags


def test_files_that_are_refused_once_are_kept_in_the_same_session(uri, tmp_path, note):
    session = Session(tmp_path, uri, "once").start()
    session.play([0.5, 0.4, 0.25])
    store, refused = session.tracker._runs.client, []

    class Refusing:
        def __getattr__(self, name):
            if name == "log_artifact" and not refused:
                refused.append(name)
                raise PermissionError("not now")
            return getattr(store, name)

    session.tracker._runs.client = Refusing()
    session.finish(artifacts=[note])
    assert refused
    assert session.tracker.complete
    assert kept(uri, "once") == ["note.txt"]
    assert_mirrors(uri, "once", session.journal)


def test_a_session_that_ends_while_files_are_kept_leaves_no_run_open(
    uri, tmp_path, note, monkeypatch
):
    session = Session(tmp_path, uri, "dies").start()
    session.play([0.5, 0.4, 0.25])
    store, asked, over = (
        session.tracker._runs.client,
        threading.Event(),
        threading.Event(),
    )

    class Hanging:
        def __getattr__(self, name):
            if name == "log_artifact":
                asked.set()
                assert over.wait(HANGING_S)
                raise OSError("nobody hears it")
            return getattr(store, name)

    session.tracker._runs.client = Hanging()
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "CLOSING_WAIT_S", 0.5)
        session.finish(artifacts=[note])
    assert asked.wait(HANGING_S)
    assert not session.tracker.complete
    assert runs(uri, "dies")["dies"].info.status == "FINISHED"
    over.set()
    later = Session(tmp_path, uri, "dies").start()
    later.finish(artifacts=[note])
    assert later.tracker.complete
    assert kept(uri, "dies") == ["note.txt"]


def test_a_study_that_was_made_longer_without_a_store_is_closed_anew(
    uri, tmp_path, impatient
):
    first = Session(tmp_path, uri, "longer").start()
    first.play([0.5, 0.4, 0.375])
    first.finish(metrics={"num_finished": 1.0})
    second = Session(tmp_path, uri, "longer")
    Store(second.tracker).down = True
    second.start().play([0.5, 0.4, 0.25])
    second.finish(metrics={"num_finished": 2.0})
    third = Session(tmp_path, uri, "longer").start()
    third.finish(metrics={"num_finished": 2.0, "val_error": 0.25})
    assert_mirrors(uri, "longer", third.journal)
    assert runs(uri, "longer")["longer"].data.metrics["num_finished"] == 2


GROUPS = [
    Group(
        name=name,
        params={"model.depth": 20},
        metrics={"num_seeds": 2.0},
        curve={1: 0.5, 2: mean},
        tags={"orthotune.arm": name},
    )
    for name, mean in (("full", 0.25), ("modulation=off", 0.75))
]


def replicates(session):
    """Two trials of each group."""
    for seed in (1, 2):
        for group in GROUPS:
            session.play([0.5, group.curve[2]], group=group.name, seed=seed)


def assert_grouped(uri, name):
    """A run a group below the parent, with its trials below it, all ended."""
    found = runs(uri, name)
    assert set(found) == {name} | {
        run
        for group in GROUPS
        for run in (group.name, f"{group.name}, seed 1", f"{group.name}, seed 2")
    }
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    for group in GROUPS:
        run = found[group.name]
        assert run.data.tags["mlflow.parentRunId"] == found[name].info.run_id
        assert run.data.tags["orthotune.arm"] == group.name
        assert run.data.params == {"model.depth": "20"}
        assert history(uri, run) == {
            "num_seeds": [(2, 2.0)],
            "val_error": sorted(group.curve.items()),
        }
        for seed in (1, 2):
            below = found[f"{group.name}, seed {seed}"].data.tags
            assert below["mlflow.parentRunId"] == run.info.run_id
            assert below["orthotune.group"] == group.name


def test_a_group_is_a_run_between_the_study_and_its_trials(uri, tmp_path):
    session = Session(tmp_path, uri, "grouped").start()
    replicates(session)
    session.finish(groups=GROUPS)
    assert session.tracker.complete
    assert_grouped(uri, "grouped")


def test_a_curve_of_an_interrupted_session_does_not_stay_beside_the_last(uri, tmp_path):
    first = Session(tmp_path, uri, "twice").start()
    replicates(first)
    curve = {epoch: value + 0.125 for epoch, value in GROUPS[0].curve.items()}
    first.finish(
        "KILLED", groups=[dataclasses.replace(GROUPS[0], curve=curve), GROUPS[1]]
    )
    assert set(history(uri, runs(uri, "twice")["full"])) == {"num_seeds"}
    second = Session(tmp_path, uri, "twice").start()
    second.finish(groups=GROUPS)
    assert_grouped(uri, "twice")


@pytest.mark.slow
def test_groups_of_a_session_killed_at_any_call_are_made_good(uri, tmp_path):
    for left in itertools.count():
        name = f"grouped-{left}"
        first = Session(tmp_path / name, uri, name)
        store = Dying(first.tracker, left)
        first.start()
        replicates(first)
        first.finish(groups=GROUPS)
        first.die()
        second = Session(tmp_path / name, uri, name).start()
        second.finish(groups=GROUPS)
        assert second.tracker.complete, second.tracker.first_error
        assert_grouped(uri, name)
        if store.calls <= left:
            break
    assert left > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(Refusing, marks=SOAK), Deaf])
def test_groups_survive_a_call_that_fails(uri, tmp_path, kind):
    for failing in itertools.count(1):
        name = f"grouped-{kind.__name__}-{failing}"
        session = Session(tmp_path / name, uri, name)
        store = kind(session.tracker, failing)
        session.start()
        replicates(session)
        session.finish(groups=GROUPS)
        assert session.tracker.complete
        assert_grouped(uri, name)
        if store.calls < failing:
            break
    assert failing > 10
