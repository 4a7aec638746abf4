"""What is written for people, also where nobody reads it."""

import os
import subprocess
import sys

import pytest

from orthotune import console


@pytest.fixture(autouse=True)
def as_new(monkeypatch):
    monkeypatch.setattr(console, "_discarded", [])


def test_results_and_notes_go_their_ways(capsys):
    console.say("a result")
    console.note("a note.")
    assert capsys.readouterr() == ("a result\n", "orthotune: a note.\n")
    assert console.is_heard()


ALONE = """
import sys
from orthotune.console import is_heard, note, say
sys.stdin.read()  # until the reader has left
for line in range(3):
    say("nobody reads this")
note("heard" if is_heard() else "not heard")
"""


def outcome(**streams):
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE], stdin=subprocess.PIPE, **streams
    )
    if process.stdout is not None:
        process.stdout.close()
    process.stdin.close()
    said = process.stderr.read().decode() if process.stderr else None
    return process.wait(), said


def test_a_reader_who_has_left_is_noticed_and_ends_nothing():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    assert outcome(**pipes) == (0, "orthotune: not heard\n")


def test_nothing_is_said_where_both_streams_are_closed():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    assert outcome(**pipes) == (0, None)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_disk_ends_nothing():
    with open("/dev/full", "wb") as full:
        code, said = outcome(stdout=full, stderr=subprocess.PIPE)
    assert (code, said) == (0, "orthotune: not heard\n")
