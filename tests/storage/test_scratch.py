"""The folder of a process in the temporary directory, and those of the dead."""

import os
import subprocess
import sys
import time
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


def test_a_study_in_the_temporary_directory_is_no_scratch_folder(tmp_path):
    for name in ("orthotune-tiny", "orthotune-12345678"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
        (tmp_path / name / "record.jsonl").write_text("{}")
    scratch.remove_dead(tmp_path)
    assert len(list(tmp_path.rglob("record.jsonl"))) == 2


def test_a_folder_whose_maker_died_at_once_goes_after_an_hour(tmp_path):
    for name, age_s in (("old00000", 2 * scratch.STALE_S), ("new00000", 0)):
        draft = tmp_path / f".orthotune-{name}"
        draft.mkdir()
        (draft / scratch.LOCK).touch()
        os.utime(draft, (time.time() - age_s,) * 2)
    scratch.remove_dead(tmp_path)
    assert os.listdir(tmp_path) == [".orthotune-new00000"]


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
