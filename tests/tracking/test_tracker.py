"""Tracking into a real SQLite store, read back by MLflow's own client.

What the store must hold is told by the study's journal, an event log on disk as in a
real study; a later session reads it again.
"""

import contextlib
import dataclasses
import itertools
import shlex
import sqlite3
import threading
import time
import types
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from orthotune.config.metrics import METRICS
from orthotune.config.trial import TrialConfig
from orthotune.errors import StudyError
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.tracking import tracker as tracking
from orthotune.tracking.study_runs import StudyRuns
from orthotune.tracking.summary import Group, Summary
from orthotune.tracking.tracked_run import INCOMPLETE, TrackedRun
from orthotune.tracking.tracker import Tracker
from orthotune.tracking.tracking_uri import resolve_tracking_uri
from tests.crashes import HANGING_S, Server

NUM_EPOCHS = 3
PARAMS = {"search.num_trials": 5, "space.optimizer.lr": "log 0.001 to 1"}
TAGS = {"host": "here", "seed": "3", "mlflow.source.git.commit": "abc"}


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    uri = resolve_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    MlflowClient(tracking_uri=uri).search_experiments()  # makes it, and says so
    return uri


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(tracking, "GATHER_S", 0)
    monkeypatch.setattr(tracking, "RETRY_WAITS_S", (0.01,))
    monkeypatch.setattr(tracking, "FAILING_WAIT_S", 60.0)  # busy machines are slow


@pytest.fixture
def impatient(monkeypatch):
    """For a store that never answers."""
    monkeypatch.setattr(tracking, "FAILING_WAIT_S", 0.3)


SOAK = pytest.mark.soak


class Session:
    """One session of a study: its journal, as it was left, and a tracker of it."""

    def __init__(self, folder, uri, name, study_id="first", params=PARAMS):
        folder.mkdir(exist_ok=True)
        self.journal = Journal(EventLog(folder / "record.jsonl"), NUM_EPOCHS)
        self.tracker = Tracker(
            uri=uri,
            name=name,
            study_id=study_id,
            metric="val_error",
            params=params,
            tags=TAGS,
        )

    def start(self, *, in_step=False):
        observer = InStep(self.tracker) if in_step else self.tracker
        self.tracker.start(self.journal.records)
        if in_step:
            observer.settle()
        self.journal.observers = [observer]
        self.journal.begin_session()
        return self

    def finish(self, status="FINISHED", metrics=None, artifacts=(), groups=()):
        self.journal.suspend()
        self.journal._log.close()
        summary = Summary(
            status=status,
            metrics={"val_error": 0.25} if metrics is None else metrics,
            tags={"mlflow.note.content": "a table"},
            artifacts=artifacts,
            groups=groups,
        )
        self.tracker.finish(summary)

    def die(self):
        """As if killed: nothing more is written, to the log or to MLflow."""
        self.journal._log.close()
        wait_for(lambda: not self.tracker._thread.is_alive())

    def suggest(self, group=None, **fields):
        number = len(self.journal.records)
        fields = {"optimizer.lr": 0.01 * (number + 1), **fields}
        return self.journal.suggest(f"key{number}", fields, group=group).number

    def report(self, number, error, diverged=0.0):
        """The next epoch of a trial; every metric has a value of its own."""
        epoch = self.journal[number].epoch + 1
        metrics = {name: k + epoch / 16 for k, name in enumerate(METRICS)}
        metrics |= {"val_error": error, "diverged": diverged}
        self.journal.report(number, epoch, metrics)

    def play(self, errors, status=Status.FINISHED, **fields):
        """A whole trial, or what there is of one that is not over."""
        number = self.suggest(**fields)
        self.journal.start(number)
        for epoch, error in enumerate(errors, 1):
            last = epoch == len(errors)
            self.report(number, error, float(last and status == Status.DIVERGED))
        if status.ended:
            error = "ValueError: broken" if status == Status.FAILED else None
            self.journal.end(number, status, error)
        return number


def wait_for(condition, limit_s=120):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def runs(uri, name):
    """Every run of an experiment, by its own name; no name twice."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    by_name = {run.info.run_name: run for run in found}
    assert len(by_name) == len(found), sorted(run.info.run_name for run in found)
    return by_name


def history(uri, run):
    """Every point of every metric, by the database: `{name: [(step, value)]}`."""
    query = "select key, step, value from metrics where run_uuid = ? order by 1, 2"
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as file:
        rows = file.execute(query, [run.info.run_id]).fetchall()
    return {
        name: [row[1:] for row in points]
        for name, points in itertools.groupby(rows, lambda row: row[0])
    }


ENDS = {
    Status.FINISHED: "FINISHED",
    Status.STOPPED: "FINISHED",
    Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
    Status.OOM: "FAILED",
    Status.INTERRUPTED: "KILLED",
}


def assert_mirrors(uri, name, journal, status="FINISHED", params=PARAMS):
    """One parent, one run a trial, everything of each exactly once."""
    found = runs(uri, name)
    parent = found.pop(name)
    assert parent.info.status == status
    assert parent.data.params == {key: str(value) for key, value in params.items()}
    assert parent.data.metrics["val_error"] == 0.25
    assert TAGS.items() <= parent.data.tags.items()
    points = history(uri, parent)
    assert len(points["val_error"]) == 1
    for record in journal.records:
        run = found.pop(f"trial-{record.number:04d}")
        assert run.info.status == ENDS[record.status], record
        assert run.data.tags["orthotune.status"] == record.status
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        fields = TrialConfig.from_dict(record.fields).in_effect()
        assert run.data.params == {key: str(value) for key, value in fields.items()}
        assert history(uri, run) == {
            name: [(n, record.history[n][name]) for n in sorted(record.history)]
            for name in METRICS
            if record.history
        }
        if record.status.ended:
            assert run.info.end_time == record.ended_ms
    assert not found
    finished = [r for r in journal.records if r.status == Status.FINISHED]
    best, expected = 1.0, []
    for record in sorted(finished, key=lambda r: (r.ended_ms, r.number)):
        best = min(best, record.history[NUM_EPOCHS]["val_error"])
        expected.append((len(expected) + 1, best))
    assert points.get("best_val_error", []) == expected


# A session that nothing happens to


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


def test_metrics_are_written_once_per_epoch_and_only_the_known_ones(uri, tmp_path):
    session = Session(tmp_path, uri, "metrics").start()
    session.play([0.5, 0.4, 0.3])
    session.finish()
    run = runs(uri, "metrics")["trial-0000"]
    assert set(run.data.metrics) == set(METRICS)
    assert history(uri, run)["val_error"] == [(1, 0.5), (2, 0.4), (3, 0.3)]
    times = MlflowClient(tracking_uri=uri).get_metric_history(
        run.info.run_id, "val_error"
    )
    reported = session.journal[0].reported_ms
    assert {point.step: point.timestamp for point in times} == reported
    assert run.info.start_time == session.journal[0].started_ms


def test_a_value_that_a_trial_does_not_read_is_none_of_its_params(uri, tmp_path):
    session = Session(tmp_path, uri, "idle").start()
    for kind in ("l2", "none"):
        fields = {"regularizer.kind": kind, "regularizer.coeff": 0.25}
        session.play([0.5], **fields)
    session.finish()
    found = runs(uri, "idle")
    with_penalty, without = (found[f"trial-000{n}"].data.params for n in range(2))
    assert with_penalty["regularizer.coeff"] == "0.25"
    assert with_penalty.keys() - without.keys() == {
        "regularizer.coeff",
        "regularizer.schedule.kind",
        "regularizer.schedule.warmup",
    }
    assert without["regularizer.kind"] == "none"
    assert without["data.root"] == "data"


def test_more_metrics_and_params_than_a_call_takes_are_written_whole(uri, tmp_path):
    params = {f"space.{k}": k for k in range(250)}
    session = Session(tmp_path, uri, "many", params=params)
    session.play([1 / k for k in range(1, 251)], Status.STOPPED)
    session.start()  # all at once
    session.finish()
    assert_mirrors(uri, "many", session.journal, params=params)


def test_a_second_study_of_the_name_joins_the_experiment(uri, tmp_path):
    ids = []
    for study_id in ("first", "second"):
        session = Session(tmp_path / study_id, uri, "again", study_id).start()
        session.play([0.5])
        session.finish()
        ids.append(session.tracker.experiment_id)
    assert ids[0] == ids[1]
    found = MlflowClient(tracking_uri=uri).search_runs([ids[0]])
    assert sorted(run.info.status for run in found) == ["FINISHED"] * 4
    assert {run.data.tags["orthotune.study_id"] for run in found} == {"first", "second"}


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


WHOLE_TRIAL = ["create_run", "log_batch", "set_terminated"]


def test_a_trial_that_is_over_is_written_in_three_calls(uri, tmp_path):
    session = Session(tmp_path, uri, "calls")
    session.tracker.connect()
    store = Store(session.tracker)
    session.play([0.5, 0.4, 0.3])
    session.play([0.9], Status.STOPPED)
    session.start()
    session.finish(metrics={})
    best, close = ["log_batch"], ["log_batch", "set_terminated"]
    assert store.names == best + 2 * WHOLE_TRIAL + close
    later = Session(tmp_path, uri, "calls")
    again = Store(later.tracker)
    later.start().finish(metrics={})  # finds all there, and writes nothing
    assert {"create_run", "log_batch", "set_terminated"}.isdisjoint(again.names)


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


class Store:
    """A client of the store in which every call can be made to fail."""

    def __init__(self, tracker):
        self.real, tracker._runs.client = tracker._runs.client, self
        self.names = []
        self.down = False

    @property
    def calls(self):
        return len(self.names)

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.names.append(name)
            return self.call(lambda: getattr(self.real, name)(*args, **kwargs))

        return call

    def call(self, call):
        if self.down:
            raise OSError("the disk is gone")
        return call()


class Dying(Store):
    """The process dies after so many calls: its writer ends without another one."""

    def __init__(self, tracker, left):
        super().__init__(tracker)
        self.left = left
        self.tracker = tracker

    def call(self, call):
        if self.calls > self.left:
            self.tracker._given_up.set()
            raise OSError("dead")
        return call()


class Refusing(Store):
    """One call fails."""

    def __init__(self, tracker, failing):
        super().__init__(tracker)
        self.failing = failing

    def call(self, call):
        if self.calls == self.failing:
            raise OSError("busy")
        return call()


class Deaf(Refusing):
    """One call is carried out, but its answer is lost."""

    def call(self, call):
        result = call()
        return super().call(lambda: result)


class InStep:
    """Tells a tracker one thing at a time, and waits until it has done with it."""

    class Watched(threading.Condition):
        def wait(self, timeout=None):
            if timeout is None:
                self.idle.set()
            return super().wait(timeout)

    def __init__(self, tracker):
        self.tracker = tracker
        self.changed = tracker._changed = self.Watched()
        self.changed.idle = threading.Event()

    def __getattr__(self, name):
        def tell(*args):
            self.changed.idle.clear()
            getattr(self.tracker, name)(*args)
            self.settle()

        return tell

    def settle(self):
        thread = self.tracker._thread
        wait_for(lambda: self.changed.idle.is_set() or not thread.is_alive())


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


def test_the_latest_best_is_the_best_whichever_trial_began_last(uri, tmp_path):
    session = Session(tmp_path, uri, "overtaken").start()
    first, second = (session.play([0.5, 0.5], Status.RUNNING) for _ in range(2))
    session.report(second, 0.5)
    session.journal.end(second, Status.FINISHED)
    session.report(first, 0.25)
    session.journal.end(first, Status.FINISHED)
    session.finish()
    assert runs(uri, "overtaken")["overtaken"].data.metrics["best_val_error"] == 0.25
    assert_mirrors(uri, "overtaken", session.journal)


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


def test_a_run_that_somebody_deletes_is_made_again_and_holds_up_no_other(uri, tmp_path):
    session = Session(tmp_path, uri, "deleted").start(in_step=True)
    number = session.play([0.5], Status.RUNNING)
    session.tracker._runs.client.delete_run(session.tracker._runs.trials[number].run_id)
    session.journal.observers = [session.tracker]
    session.report(number, 0.4)
    session.play([0.5, 0.4, 0.25])
    session.report(number, 0.3)
    session.journal.end(number, Status.FINISHED)
    session.finish()
    assert session.tracker.complete
    assert_mirrors(uri, "deleted", session.journal)


def test_a_trial_that_the_store_refuses_holds_up_no_other(uri, tmp_path, monkeypatch):
    session = Session(tmp_path, uri, "refused")
    store = Store(session.tracker)
    real = StudyRuns._create

    def create(self, record, *more):
        if record.number == 0:
            raise OSError("never this one")
        return real(self, record, *more)

    monkeypatch.setattr(StudyRuns, "_create", create)
    monkeypatch.setattr(tracking, "FAILING_WAIT_S", 2.0)
    session.start()
    for _ in range(4):
        session.play([0.5, 0.4, 0.25])

    def ended():
        found = runs(uri, "refused").items()
        return {name: run.info.status for name, run in found if "-" in name}

    wait_for(lambda: ended() == {f"trial-000{n}": "FINISHED" for n in (1, 2, 3)})
    start = time.monotonic()
    session.finish()
    assert time.monotonic() - start < 60  # it is not waited for as if it were slow
    assert store.calls
    assert not session.tracker.complete


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


def test_the_epochs_of_ended_trials_take_no_memory(uri, tmp_path):
    session = Session(tmp_path, uri, "ended").start(in_step=True)
    session.play([0.5, 0.4, 0.3])
    number = session.play([0.5], Status.RUNNING)
    assert session.tracker._runs.trials[0].epochs is None
    assert session.tracker._runs.trials[number].epochs == {1}
    session.finish()


# A later session


def test_a_later_session_opens_an_interrupted_run_again(uri, tmp_path):
    first = Session(tmp_path, uri, "reopened").start()
    first.play([0.5], Status.RUNNING)
    first.finish("KILLED", metrics={})
    before = runs(uri, "reopened")
    assert before["reopened"].info.status == "KILLED"
    assert before["trial-0000"].info.status == "KILLED"
    assert before["trial-0000"].data.tags["orthotune.status"] == "interrupted"

    second = Session(tmp_path, uri, "reopened").start(in_step=True)
    second.journal.start(0)
    now = runs(uri, "reopened")
    assert now["reopened"].info.status == "RUNNING"
    assert now["trial-0000"].info.status == "RUNNING"
    assert now["trial-0000"].data.tags["orthotune.status"] == "running"
    second.report(0, 0.375)
    second.report(0, 0.25)
    second.journal.end(0, Status.FINISHED)
    second.finish()
    assert_mirrors(uri, "reopened", second.journal)
    after = runs(uri, "reopened")
    for name in before:
        assert after[name].info.run_id == before[name].info.run_id
        assert after[name].info.start_time == before[name].info.start_time


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Status.RUNNING, Status.STOPPED),  # both were KILLED to MLflow
        (Status.FAILED, Status.OOM),  # both FAILED
        (Status.FAILED, Status.FAILED),  # and of another error
        (Status.FAILED, Status.DIVERGED),
    ],
)
def test_what_a_session_without_a_store_did_is_seen_by_the_next(
    uri, tmp_path, before, after, impatient
):
    name = f"unseen-{before}-{after}"
    first = Session(tmp_path, uri, name).start()
    first.play([0.5], before)
    first.finish("KILLED", metrics={})

    second = Session(tmp_path, uri, name)
    Store(second.tracker).down = True
    second.start()
    if before.ended:
        second.journal.reopen(0)
    second.journal.start(0)
    second.report(0, 0.4, float(after == Status.DIVERGED))
    time.sleep(0.002)  # the end of another millisecond
    second.journal.end(0, after, "ValueError: other" if after == "failed" else None)
    second.finish()
    assert not second.tracker.complete

    third = Session(tmp_path, uri, name).start()
    third.finish()
    assert third.tracker.complete
    assert_mirrors(uri, name, third.journal)
    if after == Status.FAILED:
        run = runs(uri, name)["trial-0000"]
        assert run.data.tags["error"] == "ValueError: other"


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


def test_a_run_of_no_trial_is_closed(uri, tmp_path):
    first = Session(tmp_path, uri, "orphans").start(in_step=True)
    first.play([0.5, 0.4, 0.3])
    first.play([0.5], Status.RUNNING)
    assert runs(uri, "orphans")["trial-0001"].info.status == "RUNNING"
    # Another record, as after a power cut: it does not know of the second trial.
    second = Session(tmp_path / "other", uri, "orphans").start()
    second.play([0.5, 0.4, 0.3])
    second.finish()
    orphan = runs(uri, "orphans")["trial-0001"]
    assert orphan.info.status == "KILLED"
    assert orphan.data.tags["orthotune.status"] == "orphan"
    assert runs(uri, "orphans")["trial-0000"].info.status == "FINISHED"
    first.finish()


def test_a_trial_whose_start_was_not_recorded_keeps_its_run(uri, tmp_path):
    first = Session(tmp_path, uri, "unstarted").start(in_step=True)
    first.play([0.5, 0.4, 0.375])
    number = first.suggest()
    lines = (tmp_path / "record.jsonl").read_bytes()
    first.journal.start(number)
    first.journal._log.close()
    assert runs(uri, "unstarted")["trial-0001"].info.status == "RUNNING"
    (tmp_path / "record.jsonl").write_bytes(lines)  # a power cut: the disk forgot
    second = Session(tmp_path, uri, "unstarted").start(in_step=True)
    second.journal.start(number)
    for error in (0.5, 0.4, 0.3):
        second.report(number, error)
    second.journal.end(number, Status.FINISHED)
    second.finish()
    assert_mirrors(uri, "unstarted", second.journal)


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


# Groups: runs between the parent's and the trials'

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
