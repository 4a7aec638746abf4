"""Tracking into a real SQLite store, read back by MLflow's own client.

What the store must hold is told by the study's journal, an event log on disk as in a
real study; a later session reads it again.
"""

import itertools
import shlex
import threading
import time
import types
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from orthotune.errors import StudyError
from orthotune.record.trial_record import Status
from orthotune.tracking import tracker as tracking
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracked_run import TrackedRun
from tests.crashes import Server
from tests.tracking.sessions import (
    ENDS,
    SOAK,
    WHOLE_TRIAL,
    Deaf,
    Dying,
    Refusing,
    Session,
    Store,
    assert_mirrors,
    runs,
    wait_for,
)

pytestmark = pytest.mark.usefixtures("quick")


# A session that nothing happens to


def test_a_study_is_a_parent_run_with_a_child_per_trial(uri, tmp_path):
    session = Session(tmp_path, uri, "whole").start()
    for number, status in enumerate(ENDS):
        errors = [] if status == Status.FAILED else [0.5, 0.4, 0.25 + number / 128]
        session.play(errors, status, seed=7)
    note = tmp_path / "note.txt"
    note.write_text("kept")
    session.finish(artifacts=[note])
    assert session.tracker.complete
    assert_mirrors(uri, "whole", session.journal)
    found = runs(uri, "whole")
    parent = found.pop("whole")
    assert parent.data.metrics == {"val_error": 0.25, "best_val_error": 0.25}
    assert parent.data.tags["mlflow.note.content"] == "a table"
    client = MlflowClient(tracking_uri=uri)
    (artifact,) = client.list_artifacts(parent.info.run_id)
    assert artifact.path == "note.txt"
    for number, status in enumerate(ENDS):
        run = found[f"trial-{number:04d}"]
        assert run.data.tags["seed"] == "7"
        assert run.data.tags["host"] == "here"
        assert run.data.tags["mlflow.source.git.commit"] == "abc"
        assert ("diverged" in run.data.tags) == (status == Status.DIVERGED)
        assert ("oom" in run.data.tags) == (status == Status.OOM)
        assert ("error" in run.data.tags) == (status == Status.FAILED)
        assert run.data.params["optimizer.lr"] == str(0.01 * (number + 1))


def test_a_deleted_experiment_is_refused(uri, tmp_path):
    client = MlflowClient(tracking_uri=uri)
    client.delete_experiment(client.create_experiment("gone"))
    session = Session(tmp_path, uri, "gone")
    with pytest.raises(StudyError, match="deleted MLflow experiment, but gone"):
        session.tracker.connect()


def test_a_store_that_cannot_be_opened_is_refused_before_the_study(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database, " * 100)
    session = Session(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "damaged")
    with pytest.raises(StudyError, match=r"can be written to, but sqlite:.* says: "):
        session.tracker.connect()


def test_a_study_that_is_connected_first_makes_one_parent(uri, tmp_path):
    session = Session(tmp_path, uri, "connected")
    session.tracker.connect()
    assert runs(uri, "connected")["connected"].info.status == "RUNNING"
    session.start().play([0.5, 0.4, 0.3])
    session.finish()
    assert_mirrors(uri, "connected", session.journal)


def test_observers_do_not_wait_for_the_store(uri, tmp_path):
    session = Session(tmp_path, uri, "slow")
    gate = threading.Event()
    real = session.tracker._runs.client

    class Slow:
        def __getattr__(self, name):
            assert gate.wait(30)
            return getattr(real, name)

    session.tracker._runs.client = Slow()
    session.start()
    session.play([0.5, 0.4, 0.3])  # returns though nothing can be written
    gate.set()
    session.finish()
    assert_mirrors(uri, "slow", session.journal)


def test_what_changes_within_a_moment_is_written_together(uri, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "GATHER_S", 3600)  # but for the end of the session
    session = Session(tmp_path, uri, "moment")
    session.tracker.connect()
    store = Store(session.tracker)
    session.start()
    session.play([0.5, 0.4, 0.3])
    session.finish()
    assert store.names[1:-2] == WHOLE_TRIAL
    assert_mirrors(uri, "moment", session.journal)


# A store that fails


def first_session(session, in_step):
    """Trials that end in every way, and one that runs when the session is killed."""
    session.start(in_step=in_step)
    session.play([0.5, 0.4, 0.375])
    session.play([0.5, 1.0], Status.DIVERGED)
    session.play([], Status.FAILED)
    session.play([0.9], Status.STOPPED)
    session.play([0.5, 0.25], Status.RUNNING)
    session.suggest()


def second_session(session, in_step=False):
    """The running one goes on and ends, the one suggested starts."""
    session.start(in_step=in_step)
    session.journal.start(4)
    session.report(4, 0.125)
    session.journal.end(4, Status.FINISHED)
    session.journal.start(5)
    session.report(5, 0.75)
    session.journal.end(5, Status.STOPPED)
    session.play([0.5, 0.375, 0.25])


@pytest.mark.slow
@pytest.mark.parametrize("in_step", [pytest.param(True, marks=SOAK), False])
def test_a_session_killed_at_any_call_is_made_good_by_the_next(uri, tmp_path, in_step):
    for left in itertools.count():
        name = f"killed-{in_step}-{left}"
        first = Session(tmp_path / name, uri, name)
        store = Dying(first.tracker, left)
        first_session(first, in_step)
        first.tracker.finish(
            Summary(status="KILLED", metrics={}, tags={}, artifacts=[])
        )
        first.die()
        second = Session(tmp_path / name, uri, name)
        second_session(second)
        second.finish()
        assert second.tracker.complete, second.tracker.first_error
        assert_mirrors(uri, name, second.journal)
        if store.calls <= left:
            break
    assert left > 10


@pytest.mark.soak
def test_a_later_session_killed_at_any_call_is_made_good_too(uri, tmp_path):
    for left in itertools.count():
        name = f"again-{left}"
        first = Session(tmp_path / name, uri, name)
        first_session(first, in_step=False)
        first.finish("KILLED", metrics={})
        second = Session(tmp_path / name, uri, name)
        store = Dying(second.tracker, left)
        second_session(second, in_step=True)
        second.finish()
        second.die()
        third = Session(tmp_path / name, uri, name).start()
        third.finish()
        assert third.tracker.complete, third.tracker.first_error
        assert_mirrors(uri, name, third.journal)
        if store.calls <= left:
            break
    assert left > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(Refusing, marks=SOAK), Deaf])
def test_any_one_call_may_fail_or_lose_its_answer(uri, tmp_path, kind, capsys):
    for failing in itertools.count(1):
        name = f"{kind.__name__}-{failing}"
        first = Session(tmp_path / name, uri, name)
        store = kind(first.tracker, failing)
        first_session(first, in_step=True)
        first.journal.end(4, Status.STOPPED)
        first.journal.start(5)
        first.finish()
        assert first.tracker.complete
        assert_mirrors(uri, name, first.journal)
        if store.calls < failing:
            break
        assert first.tracker.first_error == "busy"
        assert capsys.readouterr().err.count("warning: MLflow") == 1
    assert failing > 10
    assert first.tracker.first_error is None


def test_a_store_that_fails_costs_one_warning_and_never_the_study(
    uri, tmp_path, capsys, impatient
):
    session = Session(tmp_path, uri, "failing")
    session.tracker.connect()
    store = Store(session.tracker)
    store.down = True
    session.start()
    for _ in range(3):
        session.play([0.5, 0.4, 0.3])
    wait_for(lambda: store.calls > 3)  # it tries again
    start = time.monotonic()
    session.finish()
    assert time.monotonic() - start < 60  # and does not hold up the end
    assert not session.tracker.complete
    assert session.tracker.first_error == "the disk is gone"
    assert capsys.readouterr().err == (
        f"orthotune: warning: MLflow at {uri} fails (the disk is gone); training goes "
        "on, and what it misses is written when it answers.\n"
    )
    later = Session(tmp_path, uri, "failing").start()  # with nothing left to run
    later.finish()
    assert later.tracker.complete
    assert_mirrors(uri, "failing", later.journal)


def test_a_store_that_is_down_for_a_while_gets_everything(uri, tmp_path, capsys):
    session = Session(tmp_path, uri, "while")
    store = Store(session.tracker)
    session.start(in_step=True)
    session.play([0.5, 0.4, 0.3])
    number = session.play([0.5], Status.RUNNING)
    session.journal.observers = [session.tracker]
    store.down = True
    session.report(number, 0.4)
    session.report(number, 0.25)
    session.journal.end(number, Status.FINISHED)
    session.play([0.5, 0.375, 0.3125])
    calls = store.calls
    wait_for(lambda: store.calls > calls + 3)
    store.down = False
    session.play([0.5], Status.STOPPED)
    session.finish()
    assert session.tracker.complete
    assert_mirrors(uri, "while", session.journal)
    assert capsys.readouterr().err.count("\n") == 1


def test_one_failure_late_in_what_is_left_is_tried_again(uri, tmp_path, monkeypatch):
    """However long the rest has taken until then."""
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(tracking, "time", clock)
    monkeypatch.setattr(tracking, "FAILING_WAIT_S", 1.0)
    session = Session(tmp_path, uri, "late")

    class Slow(Refusing):
        def call(self, call):
            now[0] += 0.1
            return super().call(call)

    store = Slow(session.tracker, failing=-1)
    monkeypatch.setattr(tracking, "GATHER_S", 3600)  # but for the end of the session
    session.start()
    for _ in range(5):
        session.play([0.5, 0.4, 0.25])
    store.failing = store.calls + 12
    session.finish()
    assert store.calls > store.failing
    assert session.tracker.first_error == "busy"
    assert session.tracker.complete
    assert_mirrors(uri, "late", session.journal)


def test_what_comes_after_the_copy_of_the_record_is_not_written_yet(uri, tmp_path):
    session = Session(tmp_path, uri, "settled")
    number = session.play([0.5, 0.4], Status.RUNNING)
    news = iter([lambda: session.report(number, 0.25)])
    seen = []

    def settle():
        next(news, lambda: None)()  # while the storage is written to

    session.tracker._settle = settle
    real = session.tracker._runs._log

    def log(run, record, until, tags):
        seen.append(until)
        real(run, record, until, tags)

    session.tracker._runs._log = log
    session.start(in_step=True)
    session.journal.observers = [session.tracker]
    session.journal.end(number, Status.FINISHED)
    session.finish()
    assert seen[0] == 2
    assert seen[-1] == 3
    assert_mirrors(uri, "settled", session.journal)


def test_the_end_of_a_session_does_not_wait_for_the_next_attempt(
    uri, tmp_path, monkeypatch
):
    monkeypatch.setattr(tracking, "RETRY_WAITS_S", (60.0,))
    session = Session(tmp_path, uri, "waiting")
    store = Store(session.tracker)
    store.down = True
    session.start()
    session.play([0.5, 0.4, 0.3])
    wait_for(lambda: session.tracker._failures)
    store.down = False  # it is back, but not asked before a minute has passed
    start = time.monotonic()
    session.finish()
    assert time.monotonic() - start < 50
    assert session.tracker.complete
    assert_mirrors(uri, "waiting", session.journal)


def held(tracker):
    """Items in all containers of a tracker, but for the journal's own records."""

    def items(value):
        if isinstance(value, dict):
            return len(value) + sum(map(items, value.values()))
        if isinstance(value, (list, set, tuple)):
            return len(value) + sum(map(items, value))
        return items(vars(value)) if isinstance(value, TrackedRun) else 0

    return sum(items(v) for name, v in vars(tracker).items() if name != "_records")


def test_epochs_noted_while_the_store_is_down_take_no_memory(uri, tmp_path, impatient):
    session = Session(tmp_path, uri, "memory")
    Store(session.tracker).down = True
    session.start()
    numbers = [session.play([0.5], Status.RUNNING) for _ in range(3)]
    before = held(session.tracker)
    for _ in range(2000):
        for number in numbers:
            session.report(number, 0.5)
    # The writer may hold them just now, or put them back.
    assert abs(held(session.tracker) - before) <= 2 * len(numbers)
    wait_for(lambda: session.tracker._dirty.keys() == set(numbers))
    assert session.tracker._records.keys() == set(numbers)
    session.finish()


# A later session


def test_a_session_that_finds_nothing_to_do_changes_nothing(uri, tmp_path):
    first = Session(tmp_path, uri, "same").start()
    first.play([0.5, 0.4, 0.375])
    first.play([0.9], Status.STOPPED)
    first.finish()
    before = {name: run.to_dictionary() for name, run in runs(uri, "same").items()}
    time.sleep(0.002)
    second = Session(tmp_path, uri, "same").start()
    second.finish()
    assert second.tracker.complete
    after = {name: run.to_dictionary() for name, run in runs(uri, "same").items()}
    assert after == before
    assert_mirrors(uri, "same", second.journal)


# A server


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.mark.slow
def test_a_server_killed_in_the_middle_misses_nothing(server, tmp_path, capfd):
    session = Session(tmp_path / "study", server.uri, "server")
    session.tracker.connect()
    session.start()
    for number in range(30):
        session.play([0.5, 0.4, 0.3 + number / 1024])
        if number == 9:
            wait_for(lambda: len(runs(server.store, "server")) > 5)
            server.kill()  # in the middle of whatever it did
        if number == 10:
            wait_for(lambda: session.tracker._failures)
    number = session.play([0.75, 0.5], Status.RUNNING)
    server.start()
    session.report(number, 0.25)
    session.journal.end(number, Status.FINISHED)
    note = tmp_path / "note.txt"
    note.write_text("kept")
    session.finish(artifacts=[note])
    assert session.tracker.complete
    (artifact,) = session.tracker._runs.client.list_artifacts(
        runs(server.uri, "server")["server"].info.run_id
    )
    assert artifact.path == "note.txt"
    server.kill()
    assert_mirrors(server.store, "server", session.journal)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == err.count("orthotune: warning: MLflow at") == 1


# What the user is told


def test_the_addresses_are_those_of_a_ui_on_a_free_port(uri, tmp_path, monkeypatch):
    monkeypatch.setattr("orthotune.tracking.tracker.free_port", lambda: 5017)
    session = Session(tmp_path, uri, "address")
    assert session.tracker.ui()[1] is None
    session.start()
    session.finish()
    command, there = session.tracker.ui()
    words = shlex.split(command)
    assert words[1:-1] == "-m mlflow ui --port 5017 --backend-store-uri".split()
    assert words[-1] == uri
    tracker = session.tracker
    top = f"http://127.0.0.1:5017/#/experiments/{tracker.experiment_id}/runs"
    assert there.runs == (
        f"{top}?workflowType=machine_learning&viewStateShareKey=orthotune-first"
    )
    assert there.curves == f"{there.runs}&compareRunsMode=CHART"
    parent = runs(uri, "address")["address"]
    assert there.report == f"{top}/{parent.info.run_id}/artifacts/report.html"


def test_the_view_is_in_the_store(uri, tmp_path):
    session = Session(tmp_path, uri, "viewed")
    session.start()
    session.finish()
    client = session.tracker._runs.client
    experiment = client.get_experiment(session.tracker.experiment_id)
    assert "mlflow.sharedViewState.orthotune-first" in experiment.tags


def test_a_password_is_not_printed(tmp_path, capfd):
    def fail(_name):
        raise OSError("https://me:secret@host says no\nand more")

    tracker = Session(tmp_path, "https://me:secret@host", "secret").tracker
    tracker._runs.experiment_id, tracker._runs.parent_id = "1", "run"
    command, there = tracker.ui()
    assert command is None
    assert there.report.startswith("https://me:HIDDEN@host/#/experiments/1/")
    tracker._runs.client = SimpleNamespace(get_experiment_by_name=fail)
    with pytest.raises(StudyError, match=r"host says: https://me:HIDDEN@host says no."):
        tracker.connect()
    tracker._warn(OSError("https://me:secret@host"))
    assert "secret" not in tracker.first_error + capfd.readouterr().err
