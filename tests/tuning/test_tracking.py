"""Tracking into a real SQLite store, read back by MLflow's own client."""

import http.server
import shlex
import threading

import pytest
from mlflow import MlflowClient

from orthotune.errors import StudyError
from orthotune.training.config import TrialConfig
from orthotune.training.metrics import METRICS
from orthotune.tuning import tracking
from orthotune.tuning.journal import Status
from orthotune.tuning.tracking import Tracker, check_store, resolve_tracking_uri
from tests.tuning.records import record

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:DeprecationWarning",  # MLflow's models
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    return resolve_tracking_uri(f"sqlite:///{folder}/mlflow.db")


def track(tracker, trial):
    """Tell a tracker of a record's life from start to end."""
    status, history = trial.status, dict(trial.history)
    trial.status = Status.RUNNING
    tracker.on_start(trial)
    for epoch in history:
        tracker.on_epoch(trial, epoch)
    trial.status = status
    if status != Status.RUNNING:
        tracker.on_end(trial)


def finish(tracker, status="FINISHED", artifacts=()):
    tracker.finish(
        status=status, metrics={"val_error": 0.25}, tags={}, artifacts=artifacts
    )


def runs(uri, experiment_id):
    client = MlflowClient(tracking_uri=uri)
    return {run.info.run_name: run for run in client.search_runs([experiment_id])}


ENDS = {
    Status.FINISHED: "FINISHED",
    Status.STOPPED: "KILLED",
    Status.INTERRUPTED: "KILLED",
    Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
}


def test_a_study_is_a_parent_run_with_a_child_per_trial(uri, tmp_path):
    tracker = Tracker(uri=uri, name="whole", metric="val_error")
    tracker.start({"search.num_trials": 5}, {"host": "here", "seed": "3"})
    for number, status in enumerate(ENDS):
        errors = [] if status == Status.FAILED else [0.5, 0.25 + number / 100]
        track(tracker, record(number, errors, status, seed=7))
    note = tmp_path / "note.txt"
    note.write_text("kept")
    finish(tracker, artifacts=[note])
    found = runs(uri, tracker.experiment_id)
    parent = found.pop("whole")
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"search.num_trials": "5"}
    assert parent.data.tags["host"] == "here"
    assert parent.data.metrics == {"val_error": 0.25, "best_val_error": 0.25}
    client = MlflowClient(tracking_uri=uri)
    (artifact,) = client.list_artifacts(parent.info.run_id)
    assert artifact.path == "note.txt"
    for number, (status, expected) in enumerate(ENDS.items()):
        run = found.pop(f"trial-{number:04d}")
        assert run.info.status == expected, status
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["orthotune.status"] == status
        assert run.data.tags["seed"] == "7"
        assert ("diverged" in run.data.tags) == (status == Status.DIVERGED)
        assert ("error" in run.data.tags) == (status == Status.FAILED)
        names = set(TrialConfig().to_dict())
        assert set(run.data.params) == names
        assert run.data.params["optimizer.lr"] == str(0.01 * (number + 1))
    assert not found


def test_metrics_are_written_once_per_epoch_and_only_the_known_ones(uri):
    tracker = Tracker(uri=uri, name="metrics", metric="val_error")
    tracker.start({}, {})
    track(tracker, record(0, [0.5, 0.4, 0.3]))
    finish(tracker)
    run = runs(uri, tracker.experiment_id)["trial-0000"]
    assert set(run.data.metrics) == set(METRICS)
    client = MlflowClient(tracking_uri=uri)
    history = client.get_metric_history(run.info.run_id, "val_error")
    assert [(metric.step, metric.value) for metric in history] == [
        (1, 0.5),
        (2, 0.4),
        (3, 0.3),
    ]


def test_a_second_study_of_the_name_joins_the_experiment(uri):
    ids = []
    for _ in range(2):
        tracker = Tracker(uri=uri, name="again", metric="val_error")
        tracker.start({}, {})
        finish(tracker)
        ids.append(tracker.experiment_id)
    assert ids[0] == ids[1]
    client = MlflowClient(tracking_uri=uri)
    statuses = [run.info.status for run in client.search_runs([ids[0]])]
    assert statuses == ["FINISHED"] * 2


def test_a_deleted_experiment_is_refused(uri):
    client = MlflowClient(tracking_uri=uri)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(StudyError, match="deleted MLflow experiment, but gone"):
        Tracker(uri=uri, name="gone", metric="val_error")


def test_a_store_that_fails_costs_one_warning_and_never_the_study(
    uri, monkeypatch, capsys
):
    monkeypatch.setattr(tracking, "RETRY_WAITS_S", (0.01,))
    tracker = Tracker(uri=uri, name="failing", metric="val_error")
    tracker.start({}, {})

    def broken(*args, **kwargs):
        raise OSError("the disk is gone")

    monkeypatch.setattr(tracker._client, "log_batch", broken)
    for number in range(3):
        track(tracker, record(number, [0.5, 0.4]))
    finish(tracker)
    assert tracker.first_error == "the disk is gone"
    assert capsys.readouterr().err.count("warning: MLflow") == 1
    statuses = {run.info.status for run in runs(uri, tracker.experiment_id).values()}
    assert "RUNNING" not in statuses


def test_a_passing_fault_loses_nothing(uri, monkeypatch):
    monkeypatch.setattr(tracking, "RETRY_WAITS_S", (0.01, 0.01))
    tracker = Tracker(uri=uri, name="passing", metric="val_error")
    tracker.start({}, {})
    real, calls = tracker._client.log_batch, []

    def flaky(*args, **kwargs):
        calls.append(args)
        if len(calls) % 2:
            raise OSError("busy")
        return real(*args, **kwargs)

    monkeypatch.setattr(tracker._client, "log_batch", flaky)
    track(tracker, record(0, [0.5, 0.4]))
    finish(tracker)
    assert tracker.first_error is None
    client = MlflowClient(tracking_uri=uri)
    run = runs(uri, tracker.experiment_id)["trial-0000"]
    assert len(client.get_metric_history(run.info.run_id, "val_error")) == 2


def test_observers_do_not_wait_for_the_store(uri, monkeypatch):
    tracker = Tracker(uri=uri, name="slow", metric="val_error")
    tracker.start({}, {})
    gate = threading.Event()
    real = tracker._client.create_run

    def slow(*args, **kwargs):
        assert gate.wait(30)
        return real(*args, **kwargs)

    monkeypatch.setattr(tracker._client, "create_run", slow)
    track(tracker, record(0, [0.5] * 50))  # returns though nothing can be written
    gate.set()
    finish(tracker)
    assert runs(uri, tracker.experiment_id)["trial-0000"].info.status == "FINISHED"


@pytest.mark.parametrize(
    "uri", ["file:./mlruns", "mlruns", "ftp://host/x", "", "databricks"]
)
def test_a_store_we_do_not_write_to_is_refused(uri):
    with pytest.raises(StudyError, match=r"--tracking-uri must be http.*sqlite:///ml"):
        resolve_tracking_uri(uri)


def test_a_relative_sqlite_file_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri("sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"


def test_a_server_that_does_not_answer_is_refused():
    with pytest.raises(
        StudyError, match=r"http://127.0.0.1:9 does not .*mlflow server"
    ):
        check_store("http://127.0.0.1:9")


def test_a_sqlite_file_in_no_folder_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"can be written to, but .*nowhere is not"):
        check_store(f"sqlite:///{tmp_path}/nowhere/mlflow.db")


def test_a_server_that_answers_passes():
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        check_store(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_address_of_the_runs_table_names_the_workspace(uri):
    tracker = Tracker(uri=uri, name="address", metric="val_error")
    tracker.start({}, {})
    finish(tracker)
    assert tracker.ui_address().endswith(
        f"/#/experiments/{tracker.experiment_id}/runs?workflowType=machine_learning"
    )
    words = shlex.split(tracker.ui_command())
    assert words[1:-1] == "-m mlflow ui --port 5000 --backend-store-uri".split()
    assert words[-1] == uri


def test_a_password_is_not_printed():
    shown = tracking._without_password("postgresql://me:secret@host/db")
    assert shown == "postgresql://me:PASSWORD@host/db"


def test_a_run_whose_end_could_not_be_written_is_closed_at_the_end(uri, monkeypatch):
    monkeypatch.setattr(tracking, "RETRY_WAITS_S", ())
    tracker = Tracker(uri=uri, name="leftover", metric="val_error")
    tracker.start({}, {})
    real, calls = tracker._client.set_terminated, []

    def broken_once(*args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            raise OSError("busy")
        return real(*args, **kwargs)

    monkeypatch.setattr(tracker._client, "set_terminated", broken_once)
    track(tracker, record(0, [0.5, 0.4]))
    finish(tracker)
    found = runs(uri, tracker.experiment_id)
    assert found["trial-0000"].info.status == "KILLED"
    assert found["leftover"].info.status == "FINISHED"
