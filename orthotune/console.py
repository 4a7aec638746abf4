"""What a command writes for people; nobody has to read it.

A reader may leave (`| head`, or Ctrl-C in `2>&1 | tee log`, which ends tee first), and
a disk may be full: that is no reason to end a study, or not to close it.
"""

import contextlib
import os
import sys
from typing import TextIO


def say(text: str = "") -> None:
    """Print a result on standard output.

    Example:
        >>> say("done")
        done
    """
    if not _write(sys.stdout, f"{text}\n"):
        _discard(sys.stdout)


def note(text: str) -> None:
    """Print what happens, on standard error."""
    if not _write(sys.stderr, f"orthotune: {text}\n"):
        _discard(sys.stderr)


def is_heard() -> bool:
    """Whether what was said so far has arrived somewhere."""
    return sys.stdout not in _discarded


_discarded: list[TextIO] = []


def _write(stream: TextIO, text: str) -> bool:
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        return False
    return True


def _discard(stream: TextIO) -> None:
    """Let nothing that follows fail, Python's own flush at the end neither."""
    if stream in _discarded:
        return
    _discarded.append(stream)
    with contextlib.suppress(OSError):  # a stream of a test or a notebook has no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
