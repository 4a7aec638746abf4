"""Sessions of a study that are tracked, and stores that fail.

What the store must hold is told by the study's journal, an event log on disk as in a
real study; a later session reads it again.
"""

import contextlib
import itertools
import sqlite3
import threading
import time

import pytest
from mlflow import MlflowClient

from orthotune.config.metrics import METRICS
from orthotune.config.trial import TrialConfig
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracker import Tracker

NUM_EPOCHS = 3
PARAMS = {"search.num_trials": 5, "space.optimizer.lr": "log 0.001 to 1"}
TAGS = {"host": "here", "seed": "3", "mlflow.source.git.commit": "abc"}


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


WHOLE_TRIAL = ["create_run", "log_batch", "set_terminated"]


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
