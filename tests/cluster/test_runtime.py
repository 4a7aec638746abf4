"""How many trials a machine holds, and what is no Ray: no runtime is started here."""

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys

import pytest
import ray
from ray._private.utils import check_version_info

from orthotune.cluster import runtime
from orthotune.errors import StudyError


@pytest.mark.parametrize(
    ("here", "cpus", "gpus", "slots"),
    [
        ({"CPU": 2.0}, 1, 0.0, 2),
        ({"CPU": 5.0}, 2, 0.0, 2),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 1.0, 2),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 2.0, 1),
        ({"CPU": 16.0, "GPU": 3.0}, 1, 2.0, 1),
        ({"CPU": 16.0, "GPU": 1.0}, 1, 0.1, 10),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 0.3, 6),  # three on each, not six and a bit
        ({"CPU": 16.0, "GPU": 8.0}, 8, 0.5, 2),
    ],
)
def test_a_machine_holds_as_many_trials_as_ray_starts(
    here, cpus, gpus, slots, monkeypatch
):
    node = {"Alive": True, "Resources": here}
    others = [{"Alive": True, "Resources": {}}, {**node, "Alive": False}]
    monkeypatch.setattr(runtime.ray, "nodes", lambda: [node, *others, node])
    assert runtime.slots(cpus, gpus) == 2 * slots


# What the user says and is told


def opened(address):
    with runtime.ray_runtime(None, address):
        pass


@pytest.fixture
def silent(monkeypatch):
    """No Ray runs, nor does one start; the arguments it was asked with."""
    asked = []
    monkeypatch.setattr(runtime.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(runtime.ray, "shutdown", lambda: None)
    monkeypatch.setattr(runtime, "_check_resources", lambda _study: None)
    monkeypatch.setattr(runtime, "RayHealth", lambda *, own: own)
    monkeypatch.setattr(runtime.ray, "init", lambda **how: asked.append(how["address"]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return asked


@pytest.mark.parametrize(
    "address", ["cluster", "x:\u00b2", "x:", "ray://x:10001", ":6379x"]
)
def test_what_is_no_address_is_refused(address, silent):
    with pytest.raises(StudyError, match=r"must be HOST:PORT or auto, but got '"):
        opened(address)
    assert not silent


@pytest.mark.parametrize(
    "address", ["a..b:6379", f"{'a' * 70}.b:1", "127.0.0.1:1", "127.0.0.1:99999"]
)
def test_an_address_where_nothing_answers_is_refused(address, silent):
    with pytest.raises(StudyError, match=r"that answers, but got '.*ray start --head"):
        opened(address)
    assert not silent


@pytest.mark.parametrize(
    ("address", "named", "joined"),
    [
        (None, None, "local"),
        (None, "", "local"),
        ("", "", "local"),
        ("local", "auto", "local"),
        (None, "local", "local"),
        ("auto", None, "auto"),
        ("auto", "", "auto"),
        (None, "auto", "auto"),
    ],
)
def test_ray_is_asked_for_what_the_user_means(
    address, named, joined, silent, monkeypatch
):
    if named is not None:
        monkeypatch.setenv("RAY_ADDRESS", named)
    opened(address)
    assert silent == [joined]


def test_auto_is_the_cluster_of_the_environment_which_is_tried_first(
    silent, monkeypatch
):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(StudyError, match=r"got '127.0.0.1:1'"):
        opened("auto")
    assert not silent


@pytest.mark.parametrize(
    ("err", "why"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("Failed\nTraceback\n  RpcError: late."), "RpcError: late"),
        (Exception("The node timed out."), "The node timed out"),
        (ValueError(), r"ValueError\(\)"),
    ],
)
def test_a_ray_that_does_not_start_says_why(err, why, silent, monkeypatch):
    def fail(**_how):
        raise err

    monkeypatch.setattr(runtime.ray, "init", fail)
    with pytest.raises(
        StudyError, match=rf"^Ray must start on this machine, .*: .*{why}\. Free"
    ):
        opened(None)
    with pytest.raises(StudyError, match=rf"answers, but got 'auto' \(.*{why}\)\."):
        opened("auto")


def test_a_cluster_of_other_versions_is_said_to_be_one(silent, monkeypatch):
    cluster = {"ray_version": "2.1.0", "python_version": "3.9.1"}

    def fail(**_how):
        check_version_info(cluster, "this node")

    monkeypatch.setattr(runtime.ray, "init", fail)
    with pytest.raises(StudyError) as caught:
        opened("auto")
    assert str(caught.value) == (
        "--address must be a cluster with the driver's versions, but 'auto' has "
        f"Ray 2.1.0, Python 3.9.1, and the driver Ray {ray.__version__}, "
        f"Python {platform.python_version()}. Install the same on both."
    )


@pytest.mark.parametrize("failures", [1, 2])
def test_a_ray_that_was_too_slow_to_start_is_started_once_more(
    failures, silent, monkeypatch
):
    slow = Exception("The current node timed out during startup. This could happen.")
    outcomes = [slow] * failures + [None] * (2 - failures)

    left = []

    def start(**how):
        silent.append(how["address"])
        if (err := outcomes.pop(0)) is not None:
            left.append(subprocess.Popen(["sleep", "300"]))
            raise err

    monkeypatch.setattr(runtime.ray, "init", start)
    expected = (
        contextlib.nullcontext()
        if failures == 1
        else pytest.raises(StudyError, match="Ray must start on this machine")
    )
    with expected:
        opened(None)
    assert silent == ["local", "local"]
    assert not outcomes
    assert left[0].wait(timeout=10) == -signal.SIGKILL
    for process in left[1:]:  # dies with the command
        process.kill()
        process.wait()


@pytest.mark.soak  # most of a minute
def test_what_listens_and_is_no_ray_is_refused_within_a_minute(tmp_path):
    code = "from orthotune.cluster.environment import prepare; prepare()\n"
    code += "from orthotune.commands.common import run\n"
    code += "from orthotune.cluster.runtime import ray_runtime\nimport sys\n"
    code += "sys.exit(run(lambda: ray_runtime(None, sys.argv[1]).__enter__()))"
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, f"127.0.0.1:{server.getsockname()[1]}"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "RAY_ADDRESS": ""},
            timeout=150,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("orthotune: --address must be a Ray")
