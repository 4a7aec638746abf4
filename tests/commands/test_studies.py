"""`orthotune studies`: list, show, export, delete."""

import io

import pandas as pd
import pytest
from mlflow import MlflowClient

from orthotune.__main__ import main
from orthotune.archive.loaded import load_study
from orthotune.record.mirror import RecordMirror
from orthotune.record.trial_record import Status
from orthotune.storage.lock import study_lock
from orthotune.tracking.store_draft import new_store
from tests.made_studies import searched

TRIALS = [
    (0.01, [0.5, 0.4, 0.3]),
    (0.02, [0.6, 0.3, 0.2]),
    (0.03, [0.1], Status.STOPPED),
]


@pytest.fixture
def folder(tmp_path, tiny_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    searched(tmp_path / "studies", str(tiny_file), TRIALS)
    return tmp_path


def test_every_study_is_listed_with_its_best(folder, tiny_file, capsys):
    searched(folder / "studies", str(tiny_file), [], name="empty")
    damaged = folder / "studies" / "damaged"
    damaged.mkdir()
    (damaged / "record.jsonl").write_text("no\nrecord\n")
    assert main(["studies", "list"]) == 0
    printed = capsys.readouterr()
    rows = [line.split(maxsplit=5) for line in printed.out.splitlines()]
    assert rows[1] == ["empty", "0", "val_error", "-", "-", "none started"]
    assert rows[2] == [
        "tiny",
        "3",
        "val_error",
        "0.2000",
        "no",
        "2 finished, 1 stopped",
    ]
    assert len(rows) == 3
    assert "record.jsonl:1: the study's record must be as it was" in printed.err


def test_where_there_is_no_study_that_is_said(folder, capsys):
    assert main(["studies", "list", "--storage", "other"]) == 0
    assert capsys.readouterr().err == "orthotune: there is no study in other.\n"


def test_a_study_is_shown_with_its_best_trials_first(folder, capsys):
    assert main(["studies", "show", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "trials     3: 2 finished, 1 stopped\n" in out
    assert "first      trial 1, val_error 0.2000, not confirmed\n" in out
    assert "report     none yet\n" in out
    table = [line.split() for line in out.partition("\n\n")[2].splitlines()]
    assert [row[0] for row in table] == ["trial", "2", "1", "0"]


def test_an_unknown_study_is_refused(folder, capsys):
    assert main(["studies", "show", "tinny"]) == 2
    assert "There are: tiny." in capsys.readouterr().err


def test_a_study_is_exported_a_row_a_trial(folder, capsys):
    assert main(["studies", "export", "tiny", "--csv", "trials.csv"]) == 0
    table = pd.read_csv("trials.csv")
    assert list(table.val_error) == [0.3, 0.2, 0.1]
    assert list(table["optimizer.lr"]) == [0.01, 0.02, 0.03]
    assert main(["studies", "export", "tiny", "--csv", "-"]) == 0
    assert pd.read_csv(io.StringIO(capsys.readouterr().out)).equals(table)


def test_a_file_that_cannot_be_written_is_refused(folder, capsys):
    assert main(["studies", "export", "tiny", "--csv", "nowhere/trials.csv"]) == 2
    assert "--csv must be a file that can be written" in capsys.readouterr().err


@pytest.fixture
def store(folder):
    """A store with a study's three runs, and one of an earlier study of that name."""
    new_store(folder / "mlflow.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("tiny")
    study_id = load_study("tiny", folder / "studies").id
    for owner in [study_id] * 3 + ["another"]:
        client.create_run(experiment, tags={"orthotune.study_id": owner})

    def owners():
        runs = client.search_runs([experiment])
        return sorted(run.data.tags["orthotune.study_id"] for run in runs)

    return owners


def test_a_study_is_deleted_with_its_runs_and_nothing_else(
    folder, store, tiny_file, capsys
):
    searched(folder / "studies", str(tiny_file), TRIALS, name="other")
    assert len(store()) == 4
    assert main(["studies", "delete", "tiny", "--yes"]) == 0
    assert capsys.readouterr().out == "Deleted tiny, and 3 runs in MLflow.\n"
    assert store() == ["another"]
    assert [path.name for path in (folder / "studies").iterdir()] == ["other"]


@pytest.mark.parametrize(("answer", "stays"), [("y", False), ("", True), ("no", True)])
def test_who_is_at_a_terminal_is_asked(folder, monkeypatch, answer, stays):
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or answer)
    assert main(["studies", "delete", "tiny"]) == int(stays)
    assert "Delete tiny (3 trials in studies/tiny) and" in asked[0]
    assert "its 0 runs in MLflow" in asked[0]
    assert (folder / "studies" / "tiny").exists() == stays
    assert not (folder / "mlflow.db").exists()


def test_where_nobody_can_be_asked_nothing_is_deleted(folder, capsys):
    assert main(["studies", "delete", "tiny"]) == 2
    assert "--yes must be given where nobody can be asked" in capsys.readouterr().err
    assert (folder / "studies" / "tiny").exists()


def test_a_study_that_runs_is_not_deleted(folder, store, capsys):
    with study_lock(folder / "studies" / "tiny" / "lock"):
        assert main(["studies", "delete", "tiny", "--yes"]) == 2
    assert "must not run to be deleted, but a process" in capsys.readouterr().err
    assert len(store()) == 4
    assert (folder / "studies" / "tiny" / "record.jsonl").exists()


def test_a_study_in_a_storage_by_uri_is_deleted_there_too(folder):
    there = folder / "there"
    record = folder / "studies" / "tiny" / "record.jsonl"
    RecordMirror(record, f"{there.as_uri()}/tiny").settle()
    (there / "tiny" / "checkpoints").mkdir()
    words = ["delete", "tiny", "--yes", "--storage", there.as_uri()]
    assert main(["studies", *words]) == 0
    assert not (there / "tiny").exists()
    assert record.exists()  # of the study in ./studies, which is another
