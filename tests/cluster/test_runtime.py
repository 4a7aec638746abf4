"""How many trials a machine holds, and what is no Ray: no runtime is started here."""

import contextlib
import ctypes
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
from ray._private import utils as ray_utils
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


MASK = "import sys; print(open('/proc/self/status').read())"


@pytest.fixture
def handled():
    """The signals that this process was sent, each handled by itself."""
    seen = []
    before = {number: signal.getsignal(number) for number in runtime.FOR_THE_DRIVER}
    for number in before:
        signal.signal(number, lambda number, _frame: seen.append(number))
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


def blocked_by(status):
    """The signals that a process blocks, by its `/proc/PID/status`."""
    bits = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)
    return {number for number in signal.valid_signals() if bits >> (number - 1) & 1}


def test_signals_reach_a_driver_whose_ray_starts_and_not_that_ray(
    silent, handled, monkeypatch
):
    told = []

    def start(**_how):
        # What Ray's own does first.
        ray_utils.set_sigterm_handler(lambda *_: told.append("Ray's handler"))
        for number in runtime.FOR_THE_DRIVER:
            os.kill(os.getpid(), number)
            while number not in handled and not told:
                time.sleep(0.01)
        server = [sys.executable, "-c", MASK]
        told.append(subprocess.run(server, capture_output=True, text=True).stdout)

    monkeypatch.setattr(runtime.ray, "init", start)
    before = blocked_by(Path("/proc/self/status").read_text())
    opened(None)
    assert handled == list(runtime.FOR_THE_DRIVER)
    (status,) = told
    assert blocked_by(status) - before == set(runtime.FOR_THE_DRIVER)
    assert blocked_by(Path("/proc/self/status").read_text()) == before
    assert ray_utils.set_sigterm_handler.__module__ == ray_utils.__name__


def test_a_handler_that_python_does_not_know_of_does_not_stay(
    silent, handled, monkeypatch
):
    def start(**_how):
        libc = ctypes.CDLL(None)
        libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        libc.signal(signal.SIGTERM, int(signal.SIG_IGN))

    monkeypatch.setattr(runtime.ray, "init", start)
    opened(None)
    os.kill(os.getpid(), signal.SIGTERM)
    assert handled == [signal.SIGTERM]


def test_a_signal_that_is_ignored_stays_so_while_ray_starts(
    silent, handled, monkeypatch
):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def start(**_how):
        ray_utils.set_sigterm_handler(lambda *_: sys.exit(15))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(runtime.ray, "init", start)
    opened(None)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


GRANDCHILD = """
import subprocess, sys
process = subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL)
print(process.pid, flush=True)
process.wait()
"""


def test_nothing_is_left_of_a_ray_whose_start_is_interrupted(silent, monkeypatch):
    started = []

    def start(**_how):
        server = [sys.executable, "-c", GRANDCHILD]
        process = subprocess.Popen(server, stdout=subprocess.PIPE, text=True)
        started.extend([process, int(process.stdout.readline())])
        raise KeyboardInterrupt

    monkeypatch.setattr(runtime.ray, "init", start)
    with pytest.raises(KeyboardInterrupt):
        opened(None)
    process, grandchild = started
    assert process.wait(timeout=10) == -signal.SIGKILL
    process.stdout.close()
    with contextlib.suppress(FileNotFoundError):  # or nobody has waited for it yet
        status = Path(f"/proc/{grandchild}/status").read_text()
        while not re.search(r"State:\s*[ZX]", status):
            time.sleep(0.01)
            status = Path(f"/proc/{grandchild}/status").read_text()


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
