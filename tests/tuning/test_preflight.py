"""What is asked of every node, and what is said when the answer is wrong."""

import os
from dataclasses import replace

import pytest

from orthotune.errors import StudyError
from orthotune.training.config import DataConfig
from orthotune.training.data import data_fingerprint
from orthotune.tuning import preflight
from orthotune.tuning.preflight import Check, Expected, here, look, refuse, table
from tests.crashes import Cluster, Workplace

DIGITS = DataConfig(name="digits")
OTHER_TORCH = """\
import importlib.metadata
whole = importlib.metadata.version
importlib.metadata.version = lambda n: "0.1" if n == "torch" else whole(n)
"""
"""A `sitecustomize`: torch seems to be of another version."""


@pytest.fixture
def expected(tmp_path):
    """What this machine gives."""
    (tmp_path / "driver").write_text("mark")
    return Expected(
        versions=here(),
        storage=str(tmp_path),
        mark="mark",
        data={DIGITS: data_fingerprint(DIGITS)},
        gpus=0,
    )


def problems(expected, promised_gpus=0.0):
    found = look(expected, "node-7", promised_gpus)
    return {check.name: check.problem for check in found if check.problem}


def test_a_node_like_the_driver_has_no_problem(expected, tmp_path):
    names = [check.name for check in look(expected, "node-7", 0)]
    assert names == ["versions", "storage", "data digits", "disk"]
    assert problems(expected) == {}
    assert os.listdir(tmp_path) == ["driver"]


def test_another_version_is_named(expected):
    other = replace(expected, versions=here() | {"ray": "2.9.0"})
    (problem,) = problems(other).values()
    ours = here()["ray"]
    assert f"versions of the driver, but has ray {ours} and not 2.9.0. " in problem


def test_a_storage_of_its_own_is_told_from_a_shared_one(expected, tmp_path):
    (tmp_path / "driver").write_text("of another study")
    assert "does not find in" in problems(expected)["storage"]
    (tmp_path / "driver").unlink()
    assert "does not find in" in problems(expected)["storage"]


def test_a_storage_that_cannot_be_written_is_refused(expected, monkeypatch):
    def full(_self, _name, _content):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(preflight.StorageFolder, "write", full)
    assert problems(expected)["storage"] == (
        f"--storage must be writable from all nodes, but {expected.storage} is not "
        "from node-7: Read-only file system. Free it there, or choose another one."
    )


def test_data_that_are_missing_or_others_are_refused(expected, tmp_path):
    cifar = DataConfig(name="cifar10", root=str(tmp_path))
    missing = replace(expected, data={cifar: "123", DIGITS: "123"})
    found = problems(missing)
    assert found["data cifar10"].startswith("node-7 must have the data: ")
    assert "its digits is another" in found["data digits"]


def test_too_little_room_is_refused(expected, monkeypatch):
    monkeypatch.setattr(preflight, "ROOM_BYTES", 1 << 60)
    assert "must have 1152921504.6 GB free in " in problems(expected)["disk"]


def test_gpus_that_torch_does_not_see_are_refused(expected, monkeypatch):
    monkeypatch.setattr(preflight, "COUNT_GPUS", "print(1)")
    wanted = replace(expected, gpus=0.5)
    assert "GPUs" not in problems(wanted, promised_gpus=0.0)  # a node without
    assert problems(wanted, promised_gpus=1.0) == {}
    assert problems(wanted, promised_gpus=2.0)["GPUs"].startswith(
        "torch must see the 2 GPUs that Ray promises on node-7, but sees 1."
    )


def test_one_sentence_is_raised_however_many_checks_fail():
    checks = [
        Check(node="a", name="versions", found="python 3"),
        Check(node="b", name="disk", found="0 GB free", problem="Make room."),
        Check(node="c", name="data", found="", problem="Copy it."),
    ]
    with pytest.raises(StudyError) as caught:
        refuse(checks)
    assert str(caught.value) == "Make room. (And 1 check more.)"
    refuse(checks[:1])
    lines = table(checks).splitlines()
    assert [line.split()[-1] for line in lines] == ["verdict", "ok", "failed", "failed"]


def test_a_node_that_leaves_meanwhile_is_no_problem(monkeypatch):
    node = {"NodeID": "abcdefgh", "NodeManagerAddress": "10.0.0.7", "Alive": True}
    states = iter([[node], [{**node, "Alive": False}], []])

    def dead(_ref, timeout):
        raise RuntimeError("The task is not schedulable.")

    monkeypatch.setattr(preflight.ray, "get", dead)
    monkeypatch.setattr(preflight.ray, "nodes", lambda: next(states))
    (check,) = preflight._answer(None, node)
    assert (check.node, check.problem) == ("10.0.0.7 (abcdef)", "")
    assert check.found == "has left the cluster"

    monkeypatch.setattr(preflight, "LEAVING_S", 0.1)
    monkeypatch.setattr(preflight.ray, "nodes", lambda: [node])
    (check,) = preflight._answer(None, node)
    assert "must answer, with orthotune installed, but: The task" in check.problem


@pytest.mark.ray
def test_a_node_with_another_torch_is_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text(OTHER_TORCH)
    paths = os.pathsep.join([str(tmp_path / "other"), os.environ.get("PYTHONPATH", "")])
    cluster = Cluster(PYTHONPATH=paths)
    try:
        work = Workplace(tmp_path / "work", "--address", cluster.address)
        process = work.start()
        _, err = process.communicate(timeout=240)
    finally:
        cluster.stop()
    assert process.returncode == 2, err
    said = err.strip().splitlines()
    assert said[0].split() == ["node", "check", "found", "verdict"]
    assert [line.split()[-1] for line in said[1:-1]].count("failed") == 1
    assert "must have the versions of the driver, but has torch 0.1 and not" in said[-1]
    assert said[-1].startswith("orthotune: ")
    assert os.listdir(tmp_path / "work") == ["killed.yaml"]
