"""The folder of a process in the temporary directory, and those of the dead."""

import subprocess
import sys
from pathlib import Path

from orthotune.storage import scratch

MAKE = """
import os, sys, tempfile
tempfile.tempdir = sys.argv[1]
from orthotune.storage.scratch import scratch_folder
(scratch_folder() / "left").touch()
print(scratch_folder(), flush=True)
sys.stdin.read()
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
"""


def process(root, how):
    made = subprocess.Popen(
        [sys.executable, "-c", MAKE, str(root), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return made, Path(made.stdout.readline().strip())


def end(made):
    made.stdin.close()
    made.wait()
    made.stdout.close()


def test_a_process_removes_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "LONGEST", 10_000)
    made, folder = process(tmp_path, "ends")
    assert (folder / "left").exists()
    end(made)
    assert not folder.exists()


def test_the_next_process_removes_what_a_killed_one_left(tmp_path):
    killed, left = process(tmp_path, "killed")
    alive, used = process(tmp_path, "ends")
    end(killed)
    theirs = left.with_name("orthotune-theirs")  # no lock: not one of ours
    theirs.mkdir()
    link = left.with_name("orthotune-link")
    link.symlink_to(used)
    scratch.remove_dead(left.parent)
    assert not left.exists()
    assert (used / "left").exists()
    assert theirs.exists()
    assert link.is_symlink()
    end(alive)
    theirs.rmdir()
    link.unlink()


def test_the_path_leaves_room_for_the_names_of_sockets(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(long))
    assert scratch._root() == Path("/tmp")
    monkeypatch.setattr(scratch.tempfile, "tempdir", "/var/tmp")
    assert scratch._root() == Path("/var/tmp")
