"""A study in an object store: its driver dies, and another node goes on."""

import json
import os

import pytest

from tests.crashes import (
    Server,
    Workplace,
    assert_mlflow_agrees,
    command,
    ended,
    kill_driver,
)
from tests.object_store import KEYS, ObjectStore

pytestmark = pytest.mark.ray


@pytest.fixture
def store(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore()
    yield store
    store.stop()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "mlflow")
    yield server
    server.kill()


def everything(folder):
    """The content of every file below a folder."""
    return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


@pytest.mark.soak
def test_a_driver_killed_goes_on_in_a_folder_that_knows_nothing(
    tmp_path, store, server, reference
):
    places = ("--storage", store.uri, "--tracking-uri", server.uri)
    errors = ""
    work = Workplace(tmp_path / "a", *places)
    process = work.start()
    work.wait_for("epoch", 12, process)
    assert process.poll() is None
    kill_driver(process)
    work = Workplace(tmp_path / "c", *places)
    process = work.start()
    out, err = ended(process)
    assert process.returncode == 0, err
    errors += err
    assert work.trials() == reference.trials()
    assert_mlflow_agrees(work, server.uri)

    names = [name.removeprefix("bucket/studies/killed/") for name in store.names()]
    (record,) = [name for name in names if name.startswith("record/")]
    assert "driver.json" not in names  # given back
    assert {"best.yaml", "report.html", "trials.jsonl"} <= set(names)
    assert len([name for name in names if name.startswith("checkpoints/")]) <= 3
    with store.files.open_input_stream(f"bucket/studies/killed/{record}") as file:
        assert file.read() == work.record.read_bytes()

    shown = Workplace(tmp_path / "d", *places)  # a finished study, from anywhere
    process = shown.start()
    again, err = ended(process)
    assert process.returncode == 0, err
    assert "8 trials" in again
    assert shown.trials() == reference.trials()
    errors += again + err

    secret = KEYS["AWS_SECRET_ACCESS_KEY"].encode()
    assert secret in everything_in_environment()
    assert secret not in everything(tmp_path) + (out + errors).encode()


def everything_in_environment():
    return json.dumps(dict(os.environ)).encode()


def test_a_bucket_that_is_not_there_is_refused_and_nothing_is_made(tmp_path, store):
    work = Workplace(tmp_path / "a", "--storage", store.uri.replace("bucket", "none"))
    process = command(work.folder, "killed.yaml", *work.more)
    _, err = ended(process)
    assert process.returncode == 2, err
    assert err.strip().splitlines()[-1].startswith("orthotune: --storage must be")
    assert "Traceback" not in err
    assert os.listdir(work.folder) == ["killed.yaml"]
