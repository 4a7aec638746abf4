"""`ray job submit` of a packed study: log, exit code, where it says it is from."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orthotune.tuning.provenance import provenance
from tests.crashes import STUDY, Cluster, Server

ROOT = Path(__file__).parents[1]


def pack(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "orthotune.pack", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def work(tmp_path):
    (tmp_path / "killed.yaml").write_text(STUDY)
    return tmp_path


def test_a_pack_holds_package_study_and_where_they_are_from(work):
    done = pack(work, "killed.yaml")
    assert done.returncode == 0, done.stderr
    packed = work / "packed"
    assert (packed / "killed.yaml").read_text() == STUDY
    code = sorted(p.relative_to(ROOT) for p in ROOT.glob("orthotune/**/*.py"))
    assert (
        sorted(p.relative_to(packed) for p in packed.glob("orthotune/**/*.py")) == code
    )
    origin = json.loads((packed / "orthotune" / "provenance.json").read_text())
    ours = provenance()
    assert all(ours[name] == value for name, value in origin["tags"].items())
    assert "torch==" in origin["packages"]
    assert "python -m orthotune.search killed.yaml --address auto" in done.stdout
    assert pack(work, "killed.yaml").returncode == 0  # its own folder, again


def test_a_packed_copy_says_where_it_is_from(work):
    pack(work, "killed.yaml")
    code = "from orthotune.tuning.provenance import *; import json; "
    code += "print(json.dumps([provenance(), origin_texts()]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=work / "packed",
        env={**os.environ, "PYTHONPATH": str(work / "packed")},
        capture_output=True,
        text=True,
        check=True,
    )
    tags, texts = json.loads(done.stdout)
    for name, value in provenance().items():
        if "source.git" in name:
            assert tags[name] == value
    assert "torch==" in texts["packages-packed.txt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.yaml",), "none.yaml"),
        (("bad.yaml",), "bad.yaml:1: "),
        (("killed.yaml", "--to", "mine"), "--to must be a new folder, or one that"),
    ],
)
def test_what_cannot_be_packed_is_one_sentence(work, arguments, said):
    (work / "mine").mkdir()
    (work / "bad.yaml").write_text("nam: x\n")
    before = sorted(work.rglob("*"))
    done = pack(work, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(work.rglob("*")) == before


@pytest.mark.ray
def test_a_submitted_study_runs_and_its_exit_code_comes_back(work):
    server, cluster = Server(work / "mlflow"), Cluster(dashboard=True)
    done = pack(work, "killed.yaml")
    submit = [
        str(Path(sys.executable).with_name("ray")),
        *("job", "submit", "--address", cluster.jobs, "--working-dir", "packed", "--"),
    ]
    search = [sys.executable, "-m", "orthotune.search", "killed.yaml"]
    search += ["--address", cluster.address, "--storage", str(work / "studies")]
    search += ["--tracking-uri", server.uri, "--set"]
    results = []
    try:
        for setting in ("search.num_trials=2", "search.num_trials=none"):
            entry = shlex.join([*search, setting])
            results.append(
                subprocess.run(
                    [*submit, *shlex.split(entry)],
                    cwd=work,
                    env={**os.environ, "RAY_AUTH_MODE": "token", "PYTHONPATH": ""},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=240,
                    check=False,
                )
            )
        assert done.returncode == 0
        worked, refused = results
        assert worked.returncode == 0, worked.stdout
        experiment = MlflowClient(server.uri).get_experiment_by_name("killed")
        runs = MlflowClient(server.uri).search_runs([experiment.experiment_id])
    finally:
        cluster.stop()
        server.kill()
    assert "killed: 2 trials (" in worked.stdout
    assert refused.returncode == 1  # whatever the job's code, for Ray
    assert "orthotune: --set: " in refused.stdout
    assert "exit code 2" in refused.stdout
    ours = provenance()
    (parent,) = [r for r in runs if r.data.tags["orthotune.kind"] == "study"]
    for name in ("mlflow.source.git.commit", "mlflow.source.git.dirty"):
        assert parent.data.tags.get(name) == ours.get(name)
