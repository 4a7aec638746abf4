"""Which results of other studies stand in for a trial, and which do not."""

import pytest
from mlflow import MlflowClient

from orthotune.training.metrics import METRICS
from orthotune.tuning.event_log import EventLog
from orthotune.tuning.journal import Journal, Status
from orthotune.tuning.reuse import COMMIT, COMPUTING, DIRTY, EarlierTrials, code_of
from orthotune.tuning.tracking import Summary, Tracker, resolve_tracking_uri

CODE = {
    **dict.fromkeys(("version.orthotune", *COMPUTING), "1.0"),
    COMMIT: "abc",
    DIRTY: "false",
}
ERRORS = [1 / 3, 0.1 + 0.2]


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return resolve_tracking_uri(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/m.db")


def play(folder, uri, name, trials, tags=CODE):
    """A study that is over: by key, the errors of every epoch, and a status."""
    journal = Journal(EventLog(folder / f"{name}.jsonl"), len(ERRORS))
    tracker = Tracker(
        uri=uri, name=name, study_id=name, metric="val_error", params={}, tags=tags
    )
    tracker.connect()
    tracker.start([])
    journal.observers = [tracker]
    journal.begin_session()
    for key, (errors, status) in trials.items():
        number = journal.suggest(key, {"seed": 1}).number
        journal.start(number)
        for epoch, error in enumerate(errors, 1):
            diverged = float(status == Status.DIVERGED and epoch == len(errors))
            metrics = {metric: k / 7 + epoch for k, metric in enumerate(METRICS)}
            metrics |= {"val_error": error, "diverged": diverged}
            journal.report(number, epoch, metrics)
        if status.ended:
            journal.end(number, status, "broken" if status == Status.FAILED else None)
    journal.suspend()
    tracker.finish(Summary(status="FINISHED", metrics={}, tags={}, artifacts=[]))
    assert tracker.complete
    return journal


def found(uri, *keys, tags=CODE, study_id="asking"):
    return EarlierTrials(uri, study_id, tags).find(keys)


def test_a_result_is_read_as_it_was_reported_to_the_last_bit(uri, tmp_path):
    journal = play(tmp_path, uri, "whole", {"w1": (ERRORS, Status.FINISHED)})
    (earlier,) = found(uri, "w1", "other").values()
    assert (earlier.study, earlier.status) == ("whole", Status.FINISHED)
    assert earlier.history == dict(journal[0].history)
    # And goes into another study as if it had been trained there.
    log = EventLog(tmp_path / "again.jsonl")
    again = Journal(log, len(ERRORS))
    record = again.suggest("w1", {"seed": 1})
    again.reuse(record.number, earlier)
    log.close()
    for journal in (again, Journal(EventLog(tmp_path / "again.jsonl"), len(ERRORS))):
        assert journal[0].status == Status.FINISHED
        assert dict(journal[0].history) == dict(earlier.history)
        assert journal[0].reused == f"whole, run {earlier.run_id}"


def test_divergence_is_a_result_and_failure_is_none(uri, tmp_path):
    trials = {
        "d1": ([0.9], Status.DIVERGED),
        "d2": ([0.9], Status.FAILED),
        "d3": (ERRORS, Status.STOPPED),
        "d4": ([0.9], Status.OOM),
        "d5": ([0.9], Status.WAITING),
    }
    play(tmp_path, uri, "ends", trials)
    results = found(uri, *trials)
    assert {key: one.status for key, one in results.items()} == {"d1": Status.DIVERGED}
    assert results["d1"].history[1]["diverged"] == 1.0


@pytest.mark.parametrize(
    "name",
    [COMMIT, DIRTY, "version.torch", "version.numpy"],
)
def test_other_code_gives_other_results(uri, tmp_path, name):
    play(tmp_path, uri, f"code-{name[-6:]}", {f"c-{name}": (ERRORS, Status.FINISHED)})
    assert found(uri, f"c-{name}")
    other = "true" if name == DIRTY else "2.0"
    assert not found(uri, f"c-{name}", tags={**CODE, name: other})


def test_what_was_run_with_local_changes_is_not_taken(uri, tmp_path):
    tags = {**CODE, DIRTY: "true"}
    play(tmp_path, uri, "dirty", {"l1": (ERRORS, Status.FINISHED)}, tags)
    assert not found(uri, "l1", tags=tags)
    assert not found(uri, "l1")
    assert code_of({COMMIT: "abc"}) is None


def test_a_study_does_not_take_from_itself_nor_what_was_deleted(uri, tmp_path):
    play(tmp_path, uri, "self", {"s1": (ERRORS, Status.FINISHED)})
    assert not found(uri, "s1", study_id="self")
    (earlier,) = found(uri, "s1").values()
    MlflowClient(tracking_uri=uri).delete_run(earlier.run_id)
    assert not found(uri, "s1")


def test_a_run_that_is_not_whole_is_not_taken(uri, tmp_path):
    play(tmp_path, uri, "gap", {"g1": (ERRORS, Status.FINISHED)})
    (earlier,) = found(uri, "g1").values()
    MlflowClient(tracking_uri=uri).log_metric(earlier.run_id, "val_error", 0.1, step=4)
    assert not found(uri, "g1")


def test_the_first_of_two_results_is_taken(uri, tmp_path):
    for name in ("older", "newer"):
        play(tmp_path, uri, name, {"t1": (ERRORS, Status.FINISHED)})
    assert found(uri, "t1")["t1"].study == "older"


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    uri = f"sqlite:///{tmp_path}/none.db"
    assert found(uri, "any") == {}
    assert not any(tmp_path.iterdir())
