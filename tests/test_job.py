"""`ray job submit` of a packed study: log, exit code, where it says it is from."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orthotune.commands.pack import main
from orthotune.record.provenance import provenance
from tests.crashes import HANGING_S, STUDY, Cluster, Server

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
    code = "from orthotune.record.provenance import *; import json; "
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


def assert_refused(work, *arguments, said, **how):
    """One sentence and exit code 2, and every file stays as it is."""

    def files():
        every = (p for p in work.rglob("*") if "__pycache__" not in p.parts)
        return {p: p.read_bytes() if p.is_file() else None for p in every}

    before = files()
    done = pack(how.get("cwd", work), *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert files() == before


def test_a_file_in_the_folder_to_write_is_not_deleted(work):
    assert pack(work, "killed.yaml").returncode == 0
    (work / "inside.yaml").symlink_to("packed/killed.yaml")
    (work / "packed" / "outside.yaml").symlink_to("../killed.yaml")
    said = "--to must be a folder apart from what is packed, but got packed for "
    for file in ("packed/killed.yaml", "inside.yaml", "packed/outside.yaml"):
        assert_refused(work, file, said=said)
    (work / "link").symlink_to("packed")
    said = said.replace("got packed", "got link")
    assert_refused(work, "packed/killed.yaml", "--to", "link", said=said)


@pytest.mark.parametrize("to", [".", "../packed", "orthotune", "orthotune/new"])
def test_the_package_that_runs_is_not_deleted(work, to):
    assert pack(work, "killed.yaml").returncode == 0
    (work / "packed" / "orthotune" / "orthotune").mkdir()
    (work / "packed" / "orthotune" / "orthotune" / "provenance.json").write_text("{}")
    said = "--to must be a folder apart from what is packed, but got "
    arguments = ("../killed.yaml", "--to", to)
    assert_refused(work, *arguments, said=said, cwd=work / "packed")


def test_a_folder_that_cannot_be_written_is_one_sentence(work):
    said = "--to must be a folder that can be written, but "
    for to in ("/proc/x", "/proc/x/y", "killed.yaml/x", "x" * 300):
        assert_refused(work, "killed.yaml", "--to", to, said=said)


def test_a_pack_that_breaks_off_leaves_the_one_before(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    assert main(["killed.yaml", "--to", "a/b"]) == 0
    (work / "a" / "b" / "mark").touch()
    before = sorted(work.rglob("*"))
    renamed = Path.rename

    def rename(path, target):
        if path.name == "new":
            raise OSError(16, "Device or resource busy")
        return renamed(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert main(["killed.yaml", "--to", "a/b"]) == 2
    assert "a/b: Device or resource busy. Choose" in capsys.readouterr().err
    assert sorted(work.rglob("*")) == before
    monkeypatch.undo()
    monkeypatch.chdir(work)
    assert main(["killed.yaml", "--to", "a/b"]) == 0
    assert not (work / "a" / "b" / "mark").exists()
    assert sorted(p.name for p in (work / "a").iterdir()) == ["b"]


@pytest.mark.ray
@pytest.mark.soak
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
                    timeout=HANGING_S,
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
