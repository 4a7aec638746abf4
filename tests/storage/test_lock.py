import os
import signal
import socket
import subprocess
import sys

import pytest

from orthotune.errors import StudyError
from orthotune.storage.lock import study_lock

HOLD = """
import sys
from pathlib import Path
from orthotune.storage.lock import study_lock
with study_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def holder(path):
    """Another process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_study_that_runs_elsewhere_is_refused_and_its_driver_named(path, holder):
    host = socket.gethostname()
    message = f"but process {holder.pid} on {host}, since .*, runs the one in "
    with pytest.raises(StudyError, match=message), study_lock(path):
        pytest.fail("two hold the lock")
    with pytest.raises(StudyError, match="Wait for it, stop it, or choose another"):
        study_lock(path).__enter__()
    assert holder.poll() is None


def test_a_driver_that_ends_gives_the_lock_back(path, holder):
    holder.communicate("")
    assert holder.returncode == 0
    with study_lock(path):
        assert f'"pid": {os.getpid()}' in path.read_text()


def test_a_driver_that_is_killed_gives_the_lock_back(path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with study_lock(path):
        assert f'"pid": {os.getpid()}' in path.read_text()


def test_an_error_gives_the_lock_back(path):
    with pytest.raises(KeyError), study_lock(path):
        raise KeyError
    with study_lock(path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\0\0"])
def test_a_holder_that_says_nothing_is_another_process(path, holder, content):
    path.write_text(content)
    with pytest.raises(StudyError, match="but another process runs the one in"):
        study_lock(path).__enter__()


def test_the_file_of_an_earlier_driver_locks_nobody_out(path):
    path.write_text('{"host": "elsewhere", "pid": 1, "since": "long ago", "x": 1}')
    with study_lock(path):
        assert "elsewhere" not in path.read_text()
