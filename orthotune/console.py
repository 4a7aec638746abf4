"""Output of the commands, which goes on where nobody reads it.

A reader may leave (`| head`, or Ctrl-C in `2>&1 | tee log`, which ends tee first), and
a disk may be full: that is no reason to end a study, or not to close it.
"""

import contextlib
import errno
import os
import sys
from typing import TextIO


def say(text: str = "") -> None:
    """Print a result on standard output.

    Example:
        >>> say("done")
        done
    """
    trouble = _write(sys.stdout, f"{text}\n")
    if trouble is not None:
        _discard(sys.stdout)
        if trouble.errno != errno.EPIPE:  # a reader who leaves knows what it misses
            note(f"results must be writable, but: {trouble.strerror}.")


def note(text: str) -> None:
    """Print what happens, on standard error."""
    if _write(sys.stderr, f"orthotune: {text}\n") is not None:
        _discard(sys.stderr)


def is_heard() -> bool:
    """Whether standard output could be written to so far."""
    return sys.stdout not in _discarded


_discarded: list[TextIO] = []


def _write(stream: TextIO | None, text: str) -> OSError | None:
    """Write a text; why that was not possible, if it was not."""
    if stream is None:  # of a process without streams: nobody listens
        return None
    try:
        stream.write(_writable(text, stream))
        stream.flush()
    except OSError as err:
        return err
    return None


def _writable(text: str, stream: TextIO) -> str:
    """A text whose letters the stream has; others by their numbers."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _discard(stream: TextIO | None) -> None:
    """Let nothing that follows fail, Python's own flush at the end neither."""
    if stream is None or stream in _discarded:
        return
    _discarded.append(stream)
    with contextlib.suppress(OSError):  # a stream of a test or a notebook has no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
