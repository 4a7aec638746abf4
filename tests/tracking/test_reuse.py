"""Which results of other studies stand in for a trial, and which do not."""

import contextlib
import functools
import os
import sqlite3

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from orthotune.config.metrics import METRICS
from orthotune.record.event_log import EventLog
from orthotune.record.history import COMPUTED_BY
from orthotune.record.journal import Journal
from orthotune.record.provenance import DIRTY
from orthotune.record.trial_record import PARTS, SETTING, Status
from orthotune.tracking.reuse import COMMIT, COMPUTING, EarlierTrials, code_of
from orthotune.tracking.sqlite_uri import sqlite_uri
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracked_run import MIXED_CODE
from orthotune.tracking.tracker import Tracker
from orthotune.tracking.tracking_uri import resolve_tracking_uri
from tests.files import everything

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
            metrics |= {"val_error": error, "diverged": diverged, COMPUTED_BY: "L4"}
            journal.report(number, epoch, metrics)
        if status.ended:
            journal.end(number, status, "broken" if status == Status.FAILED else None)
    journal.suspend()
    tracker.finish(Summary(status="FINISHED", metrics={}, tags={}, artifacts=[]))
    assert tracker.complete
    return journal


FIELDS = {"training.num_epochs": len(ERRORS)}


def found(uri, *keys, tags=CODE, study_id="asking", **fields):
    wanted = dict.fromkeys(keys, FIELDS | fields)
    return EarlierTrials(uri, study_id, tags).find(wanted)


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
        assert journal[0].computed_by == ("L4",)


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


@pytest.fixture
def store(tmp_path):
    """A store with one result, in a folder of its own, that nobody has open."""
    file = tmp_path / "store? 100%" / "m.db"
    file.parent.mkdir()
    uri = sqlite_uri(file)
    play(tmp_path, uri, "kept", {"k1": (ERRORS, Status.FINISHED)})
    SqlAlchemyStore._engine_map[uri].dispose()
    assert os.listdir(file.parent) == ["m.db"]
    return file


def still(_store):
    """Nobody has it open."""


def open_elsewhere(store):
    """As by a study that runs: a part of it is in another file."""
    reader = sqlite3.connect(store)
    reader.execute("SELECT count(*) FROM runs").fetchone()
    writer = sqlite3.connect(store)
    writer.execute("UPDATE experiments SET last_update_time = 7 WHERE name = 'kept'")
    writer.commit()
    return reader, writer


def left_open(store):
    """As by a study that was killed."""
    opened = open_elsewhere(store)
    there = {one: one.read_bytes() for one in store.parent.iterdir()}
    for one in opened:
        one.close()
    for one, content in there.items():
        one.write_bytes(content)


def of_another(store):
    """As MLflow itself makes one."""
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA journal_mode=DELETE")


def read_only(store):
    store.chmod(0o444)
    store.parent.chmod(0o555)


@pytest.mark.parametrize(
    "how", [still, open_elsewhere, left_open, of_another, read_only]
)
def test_to_read_a_store_changes_and_makes_nothing(how, store):
    held = how(store)  # open, if it is
    before = everything(store.parent)
    trials = EarlierTrials(sqlite_uri(store), "asking", CODE, only_read=True)
    assert trials.find({"k1": FIELDS})["k1"].study == "kept"
    after = everything(store.parent)
    assert after.keys() == before.keys()
    # Memory of those who have it open, in which readers say that they are there.
    shared = store.with_name("m.db-shm")
    assert (shared in before) == (how in (open_elsewhere, left_open))
    assert after | {shared: None} == before | {shared: None}
    del held


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_to_read_what_is_no_store_changes_and_makes_nothing(content, tmp_path, capsys):
    file = tmp_path / "there" / "m.db"
    file.parent.mkdir()
    if content is not None:
        file.write_bytes(content)
    before = everything(file.parent)
    trials = EarlierTrials(sqlite_uri(file), "asking", CODE, only_read=True)
    assert trials.find({"k1": FIELDS}) == {}
    assert everything(file.parent) == before
    assert capsys.readouterr().err.count("orthotune: ") == (content is not None)


# Found by a reader


def test_what_a_population_has_changed_is_not_taken(uri, tmp_path):
    journal = Journal(EventLog(tmp_path / "p.jsonl"), 1)
    tracker = Tracker(
        uri=uri, name="p", study_id="p", metric="val_error", params={}, tags=CODE
    )
    tracker.connect()
    tracker.start([])
    journal.observers = [tracker]
    for key, more in (("plain", {}), ("pbt", {f"{SETTING}optimizer.lr": 0.05})):
        number = journal.suggest(key, {"seed": 1}).number
        journal.start(number)
        journal.report(number, 1, {**dict.fromkeys(METRICS, 0.0), **more})
        journal.end(number, Status.FINISHED)
    tracker.finish(Summary(status="FINISHED", metrics={}, tags={}, artifacts=[]))
    one = {"training.num_epochs": 1}
    assert set(found(uri, "plain", "pbt", **one)) == {"plain"}


def test_a_test_error_of_the_last_epoch_is_taken_along(uri, tmp_path):
    play(tmp_path, uri, "tested", {"tested1": (ERRORS, Status.FINISHED)})
    client = MlflowClient(uri)
    (run,) = [r for r in runs_in(client, "tested") if is_trial(r)]
    client.log_metric(run.info.run_id, "test_error", 0.25, step=2)
    (earlier,) = found(uri, "tested1").values()
    assert "test_error" not in earlier.history[1]
    assert earlier.history[2]["test_error"] == 0.25


def test_a_test_error_is_taken_from_whoever_has_it(uri, tmp_path):
    asked = {"training.evaluate_test": True}
    play(tmp_path, uri, "untested", {"t2": (ERRORS, Status.FINISHED)})
    assert found(uri, "t2")
    assert found(uri, "t2", **asked) == {}
    play(tmp_path, uri, "tested later", {"t2": (ERRORS, Status.FINISHED)})
    client = MlflowClient(uri)
    (run,) = [r for r in runs_in(client, "tested later") if is_trial(r)]
    client.log_metric(run.info.run_id, "test_error", 0.25, step=2)
    assert found(uri, "t2")["t2"].study == "untested"
    assert found(uri, "t2", **asked)["t2"].study == "tested later"


def test_a_run_of_which_mlflow_misses_the_last_epochs_is_not_taken(uri, tmp_path):
    play(tmp_path, uri, "short", {"e1": (ERRORS, Status.FINISHED)})
    assert found(uri, "e1")
    assert found(uri, "e1", **{"training.num_epochs": 3}) == {}


def test_a_trial_that_did_not_fit_into_memory_is_not_taken(uri, tmp_path):
    play(tmp_path, uri, "parted", {"o1": (ERRORS, Status.FINISHED)})
    client = MlflowClient(uri)
    (run,) = [r for r in runs_in(client, "parted") if is_trial(r)]
    assert found(uri, "o1")
    client.log_metric(run.info.run_id, f"{SETTING}{PARTS}", 2.0, step=2)
    assert found(uri, "o1") == {}


def test_a_store_that_does_not_answer_is_no_reason_not_to_run(tmp_path, capsys):
    (tmp_path / "m.db").write_text("no database")
    assert found(f"sqlite:///{tmp_path}/m.db", "any") == {}
    said = capsys.readouterr().err
    assert (
        "orthotune: warning: MLflow does not say what other studies have run (" in said
    )


def test_a_result_cut_while_it_was_written_down_is_trained(uri, tmp_path):
    play(tmp_path, uri, "source", {"w2": (ERRORS, Status.FINISHED)})
    log = EventLog(tmp_path / "cut.jsonl")
    journal = Journal(log, len(ERRORS))
    journal.reuse(journal.suggest("w2", {"seed": 1}).number, found(uri, "w2")["w2"])
    log.close()
    lines = (tmp_path / "cut.jsonl").read_text().splitlines(keepends=True)
    assert "reused" in lines[1]
    (tmp_path / "cut.jsonl").write_text("".join(lines[:4]))  # the first epoch is there
    record = Journal(EventLog(tmp_path / "cut.jsonl"), len(ERRORS))[0]
    assert (record.status, record.epoch) == (Status.INTERRUPTED, 1)
    journal = Journal(EventLog(tmp_path / "cut.jsonl"), len(ERRORS))
    journal.reopen(0)
    assert (journal[0].reused, journal[0].epoch, journal[0].attempt) == (None, 0, 1)


def test_a_run_that_is_not_closed_as_its_tag_says_is_not_taken(uri, tmp_path):
    play(tmp_path, uri, "cut", {"c1": (ERRORS, Status.FINISHED)})
    client = MlflowClient(uri)
    (run,) = [r for r in runs_in(client, "cut") if is_trial(r)]
    client.set_terminated(run.info.run_id, status="KILLED")
    assert found(uri, "c1") == {}


def test_a_study_continued_with_other_code_is_not_taken_from(uri, tmp_path):
    journal = play(tmp_path, uri, "mixed", {"m1": (ERRORS, Status.FINISHED)})
    assert found(uri, "m1")
    tracker = Tracker(
        uri=uri,
        name="mixed",
        study_id="mixed",
        metric="val_error",
        params={},
        tags={**CODE, MIXED_CODE: "true"},
    )
    tracker.start(journal.records)
    tracker.finish(Summary(status="FINISHED", metrics={}, tags={}, artifacts=[]))
    assert found(uri, "m1") == {}


def test_more_experiments_than_a_page_holds_are_looked_at(uri, tmp_path, monkeypatch):
    play(tmp_path, uri, "paged", {"q1": (ERRORS, Status.FINISHED)})
    whole = MlflowClient.search_experiments
    one_a_page = functools.partialmethod(whole, max_results=1)
    monkeypatch.setattr(MlflowClient, "search_experiments", one_a_page)
    assert found(uri, "q1")


def is_trial(run):
    return "orthotune.key" in run.data.tags


def runs_in(client, name):
    experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id])
