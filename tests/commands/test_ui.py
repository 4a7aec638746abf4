"""`orthotune ui`: what is started, and what is refused."""

import sys

import pytest

from orthotune.__main__ import main


@pytest.fixture
def started(tmp_path, monkeypatch):
    """What this process would become."""
    found = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("os.execv", lambda *words: found.append(words))
    return found


def test_it_is_mlflow_on_the_store_of_the_folder(started, tmp_path):
    (tmp_path / "mlflow.db").touch()
    main(["ui", "--port", "5007"])
    ((program, words),) = started
    assert program == sys.executable
    assert words[1:4] == ["-m", "mlflow", "ui"]
    assert words[4:6] == ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    assert words[6:] == ["--host", "127.0.0.1", "--port", "5007"]


def test_without_a_store_nothing_is_started_or_made(started, tmp_path, capsys):
    assert main(["ui"]) == 2
    assert (
        "MLflow must have a store to show, but there is no" in capsys.readouterr().err
    )
    assert started == list(tmp_path.iterdir()) == []


def test_a_server_is_not_started_again(started, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:5000")
    assert main(["ui"]) == 2
    assert "Open http://me:HIDDEN@127.0.0.1:5000" in capsys.readouterr().err
    assert started == []
