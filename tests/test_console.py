"""What is written for people, also where nobody reads it."""

import io
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
    assert (code, said) == (
        0,
        "orthotune: results must be writable, but: No space left on device.\n"
        "orthotune: not heard\n",
    )


def test_a_process_without_streams_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    console.say("a result")
    console.note("a note.")
    assert console.is_heard()


def test_letters_that_a_stream_lacks_are_written_by_their_numbers(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    console.say("Is 1 µm über 0?")
    assert stream.buffer.getvalue() == b"Is 1 \\xb5m \\xfcber 0?\n"
