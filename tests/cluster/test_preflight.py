"""What is asked of every node, and what is said when the answer is wrong."""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ray.exceptions import RayTaskError

from orthotune.cluster import nodes, preflight
from orthotune.cluster.node_checks import Check, refuse, table
from orthotune.cluster.node_requirements import CheckedNodes, NodeRequirements
from orthotune.cluster.preflight import here, look, node_problem
from orthotune.config.sections import DataConfig
from orthotune.data.datasets import data_fingerprint
from orthotune.errors import StudyError
from tests.crashes import Cluster, Server, Workplace, assert_the_same, ended
from tests.import_hook import python_path

DIGITS = {"data.name": "digits"}


@pytest.fixture
def expected(tmp_path):
    """What this machine gives."""
    (tmp_path / "driver").write_text("mark")
    return NodeRequirements(
        versions=here(),
        storage=str(tmp_path.parent),
        probes=tmp_path.name,
        mark="mark",
        data=[(DIGITS, data_fingerprint(DataConfig(name="digits")))],
        gpus=False,
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
    cifar = {"data.name": "cifar10", "data.root": str(tmp_path)}
    missing = replace(expected, data=[(cifar, "123"), (DIGITS, "123")])
    found = problems(missing)
    assert found["data cifar10"].startswith("node-7 must have the data: ")
    assert "its digits is another" in found["data digits"]


@pytest.fixture
def joined(monkeypatch):
    """This process is on a node that has joined."""
    context = SimpleNamespace(get_node_id=lambda: "abcdefgh")
    monkeypatch.setattr(preflight.ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(preflight.ray.util, "get_node_ip_address", lambda: "10.0.0.7")


def test_a_trial_on_a_node_that_joined_asks_itself(expected, joined):
    other = replace(expected, versions=here() | {"torch": "2.0"}, mark="other")
    assert node_problem(None) == ""
    assert node_problem(CheckedNodes(nodes={"abcdefgh"}, expected=other)) == ""
    assert node_problem(CheckedNodes(nodes={"first"}, expected=expected)) == ""
    found = node_problem(CheckedNodes(nodes={"first"}, expected=other))
    assert found.startswith("10.0.0.7 (abcdef) must have the versions of the driver")
    other = replace(expected, data=[(DIGITS, "123")], mark="data")
    assert "its digits is another" in node_problem(
        CheckedNodes(nodes=(), expected=other)
    )


def test_a_trial_looks_for_data_where_it_will_read_them(expected, joined, monkeypatch):
    """Ray has moved it into a folder of its own by then."""
    roots = []
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", "/where/it/started")
    monkeypatch.setattr(preflight, "data_fingerprint", lambda c: roots.append(c.root))
    data = [({"data.name": "cifar10"}, None)]
    there = replace(expected, data=data, mark="moved")
    assert node_problem(CheckedNodes(nodes=(), expected=there)) == ""
    assert roots == ["/where/it/started/data"]


def test_too_little_room_is_refused(expected, monkeypatch):
    monkeypatch.setattr(preflight, "ROOM_BYTES", 1 << 60)
    assert "must have 1152921504.6 GB free in " in problems(expected)["disk"]


def test_gpus_that_torch_does_not_see_are_refused(expected, monkeypatch):
    monkeypatch.setattr(preflight, "gpu_names", lambda: ["H100"])
    wanted = replace(expected, gpus=True)
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
    monkeypatch.setattr(preflight.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(nodes.ray, "nodes", lambda: next(states))
    (check,) = preflight._answer(None, node, time.monotonic() + 1000)
    assert (check.node, check.problem) == ("10.0.0.7 (abcdef)", "")
    assert check.found == "has left the cluster"

    monkeypatch.setattr(nodes.ray, "nodes", lambda: [node])
    (check,) = preflight._answer(None, node, time.monotonic() + 0.1)
    assert "must answer, with orthotune installed, but: The task" in check.problem


def test_a_node_on_which_the_task_itself_fails_is_there_and_not_waited_for(monkeypatch):
    node = {"NodeID": "abcdefgh", "NodeManagerAddress": "10.0.0.7", "Alive": True}
    trace = "Traceback\nModuleNotFoundError: No module named 'orthotune'"

    def failed(_ref, timeout):
        raise RayTaskError("look", trace, ModuleNotFoundError("orthotune"))

    monkeypatch.setattr(preflight.ray, "get", failed)
    monkeypatch.setattr(preflight.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(nodes.ray, "nodes", lambda: pytest.fail("asked for the nodes"))
    (check,) = preflight._answer(None, node, time.monotonic() + 1000)
    assert check.problem == (
        "10.0.0.7 (abcdef) must answer, with orthotune installed, but: "
        "ModuleNotFoundError: No module named 'orthotune'. "
        "Install the driver's environment there."
    )


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("deep", ["studies", "new/deep/studies"])
def test_the_storage_is_afterwards_as_it_was(
    scheme, deep, tiny_study, tmp_path, monkeypatch
):
    root = tmp_path / "root"
    root.mkdir()
    seen = []

    def ask(expected, nodes):
        assert nodes == []
        seen.append(os.listdir(root / deep) == [expected.probes])
        return []

    monkeypatch.setattr(preflight, "_ask", ask)
    storage = f"{scheme}{root / deep}"
    preflight.preflight(tiny_study, storage, {}, [])
    assert os.listdir(root) == []
    (root / deep).mkdir(parents=True)
    preflight.preflight(tiny_study, storage, {}, [])
    assert seen == [True, True]
    assert os.listdir(root / deep) == []


def test_a_storage_the_driver_cannot_write_is_refused_and_not_begun(
    tiny_study, tmp_path
):
    storage = tmp_path / "new" / ("x" * 300)  # more than a name may have
    with pytest.raises(StudyError, match=r"must be writable, but .*: File name too lo"):
        preflight.preflight(tiny_study, str(storage), {}, [])
    assert os.listdir(tmp_path) == ["tiny.yaml"]


PLAYED = """\
import os
from dataclasses import replace
from pathlib import Path


def other_torch(module):
    whole = module.version
    module.version = lambda name: "0.1" if name == "torch" else whole(name)


def own_storage(module):
    module.StorageFolder.read = lambda _self, _name: b"of another study"


def read_only(module):
    def write(_self, _name, _content):
        raise OSError(30, os.strerror(30))

    module.StorageFolder.write = write


def no_data(module):
    whole = module.data_fingerprint
    missing = {{"name": "cifar10", "root": "/not-mounted"}}
    module.data_fingerprint = lambda config: whole(replace(config, **missing))


def full_disk(module):
    module.ROOM_BYTES = 1 << 60


def no_gpus(module):
    module.gpu_names = list


def change(module):
    whole = module.look

    def look(*asked):
        globals()[Path({file!r}).read_text()](module)
        return whole(*asked)

    module.look = look


CHANGES = {{"orthotune.cluster.preflight": change}}
"""
"""What is wrong with a node is what a file says when the node is asked."""

FAILURES = [  # what is played, the storage, what is said of the node, and the remedy
    (
        "other_torch",
        "new/deep/studies",
        "{node} must have the versions of the driver, but has torch 0.1 and not ",
        "Install the same there.",
    ),
    (
        "own_storage",
        "shared",
        "--storage must be seen by all nodes, but {node} does not find in {storage} ",
        "Give a shared folder, or a URI such as s3://...",
    ),
    (
        "read_only",
        "shared",
        "--storage must be writable from all nodes, but {storage} is not from {node}: "
        "Read-only file system.",
        "Free it there, or choose another one.",
    ),
    (
        "no_data",
        "shared",
        "{node} must have the data: `data.root` must hold CIFAR10, but /not-mounted is "
        "not there. ",
        "cifar-10-batches-py/batches.meta.",
    ),
    (
        "full_disk",
        "shared",
        "{node} must have 1152921504.6 GB free in ",
        "Make room there.",
    ),
    (
        "no_gpus",
        "shared",
        "torch must see the 1 GPUs that Ray promises on {node}, but sees 0.",
        "or start Ray there with --num-gpus.",
    ),
]


COMMANDS = """\
import json, os, sys
from orthotune.commands.search import main
for line in sys.stdin:
    file, *words = json.loads(line)
    os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), 2)
    print(main(words), flush=True)
"""
"""The command, once a line: importing Ray takes longer than all that is asked."""


@contextlib.contextmanager
def commands(folder):
    """A function that types the command: its exit code, and what it says of errors."""
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", COMMANDS]
    env = {**os.environ, "MLFLOW_TRACKING_URI": ""}
    with subprocess.Popen(
        words, cwd=folder, stdin=pipe, stdout=pipe, text=True, env=env
    ) as process:

        def type_one(errors, *words):
            process.stdin.write(json.dumps([str(errors), *words]) + "\n")
            process.stdin.flush()
            return process.stdout.readline(), errors.read_text()

        yield type_one


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.soak
def test_each_failure_of_a_node_is_one_sentence_and_nothing_is_made(tmp_path):
    """The command itself, on a head that is well and one node that is not."""
    file = tmp_path / "failure"
    path = python_path(tmp_path / "site", PLAYED.format(file=str(file)))
    (tmp_path / "shared").mkdir()
    work = Workplace(tmp_path / "work")
    cluster = Cluster(gpus=1, PYTHONPATH=path)
    try:
        with commands(work.folder) as type_one:
            for failure, place, problem, remedy in FAILURES:
                file.write_text(failure)
                storage = tmp_path / place
                code, err = type_one(
                    tmp_path / f"{failure}.txt",
                    *("killed.yaml", "--address", cluster.address),
                    *("--storage", str(storage)),
                    f"--set=resources.gpus={0.5 if failure == 'no_gpus' else 0}",
                )
                assert code == "2\n", (failure, code, err)
                start = problem.format(node=failed_node(err), storage=storage)
                *_, said = err.strip().splitlines()
                assert said.startswith(f"orthotune: {start}"), said
                assert said.endswith(remedy), said
                assert "Traceback" not in err
                assert os.listdir(work.folder) == ["killed.yaml"], failure
                assert os.listdir(tmp_path / "shared") == [], failure
                assert not (tmp_path / "new").exists()
    finally:
        cluster.stop()


@pytest.mark.ray
@pytest.mark.soak
def test_a_node_that_joins_unfit_ends_the_session_and_without_it_the_study_goes_on(
    tmp_path, reference
):
    file = tmp_path / "failure"
    file.write_text("other_torch")
    path = python_path(tmp_path / "site", PLAYED.format(file=str(file)))
    cluster, server = Cluster(), Server(tmp_path / "mlflow")
    places = ("--address", cluster.address, "--tracking-uri", server.uri)
    work = Workplace(tmp_path / "work", *places)
    try:
        process = work.start()
        work.wait_for("epoch", 3, process)
        cluster.add_node(PYTHONPATH=path)
        _, err = ended(process)
        assert process.returncode == 1, err
        *_, said = err.strip().splitlines()
        assert "must have the versions of the driver, but has torch 0.1 and not" in said
        assert said.endswith("What is done is kept; the same command continues then.")
        assert "Traceback" not in err
        cluster.kill_node()
        work.finish(limit=1)
    finally:
        cluster.stop()
        server.kill()
    assert_the_same(work, reference)


def failed_node(err):
    """The node of the one check that failed, by the table."""
    head, *rows, _ = [line.split() for line in err.strip().splitlines()]
    assert head == ["node", "check", "found", "verdict"]
    (failed,) = [row for row in rows if row[-1] == "failed"]
    assert len({row[1] for row in rows}) == 2  # head and node
    return " ".join(failed[:2])
