"""The runs of a study and its trials, as a real store holds them."""

import time

import pytest
from mlflow import MlflowClient

from orthotune.config.metrics import METRICS
from orthotune.record.trial_record import Status
from orthotune.tracking import tracker as tracking
from orthotune.tracking.study_runs import StudyRuns
from tests.made_records import metrics
from tests.tracking.sessions import (
    WHOLE_TRIAL,
    Session,
    Store,
    assert_mirrors,
    history,
    runs,
    wait_for,
)

pytestmark = pytest.mark.usefixtures("quick")


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


def test_the_epochs_of_ended_trials_take_no_memory(uri, tmp_path):
    session = Session(tmp_path, uri, "ended").start(in_step=True)
    session.play([0.5, 0.4, 0.3])
    number = session.play([0.5], Status.RUNNING)
    assert session.tracker._runs.trials[0].epochs is None
    assert session.tracker._runs.trials[number].epochs == {1}
    session.finish()


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


def test_what_an_audit_saw_has_names_of_its_own(uri, tmp_path):
    session = Session(tmp_path, uri, "audit").start()
    session.journal.suggest("key", {})
    session.journal.start(0)
    session.journal.report(0, 1, metrics(0.5))
    session.journal.condemn(0)
    session.journal.report(0, 2, metrics(0.4))
    session.journal.report(0, 3, metrics(0.3))
    session.journal.end(0, Status.STOPPED)
    session.finish()
    run = runs(uri, "audit")["trial-0000"]
    assert history(uri, run)["val_error"] == [(1, 0.5)]
    assert history(uri, run)["audit/val_error"] == [(2, 0.4), (3, 0.3)]
    assert run.data.tags["orthotune.status"] == "stopped"
    assert run.data.tags["orthotune.condemned"] == "in epoch 1, and audited"
