r"""An append-only file of events: what a study knows that nobody can take away.

One line an event: its JSON, a tab, the CRC-32 of the JSON. A line that is cut short can
only be the last one, of a process that died while it wrote: it is dropped. A broken
line anywhere else is damage from outside, and is refused rather than guessed at.
"""

import contextlib
import json
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from orthotune.errors import StudyError, StudyStoppedError, out_of_room

Event = dict[str, Any]


def _encode(event: Event) -> bytes:
    text = json.dumps(event, separators=(",", ":")).encode()
    return b"%s\t%08x\n" % (text, zlib.crc32(text))


def _decode(line: bytes) -> Event | None:
    """The event of a line; None if it is not whole."""
    text, _, crc = line.rpartition(b"\t")
    if not text or crc != b"%08x" % zlib.crc32(text):
        return None
    return json.loads(text)


def read_events(path: Path) -> tuple[list[Event], int]:
    """The events of a file, and the number of bytes they take.

    Args:
        path: The file; one that does not exist holds no events.

    Raises:
        StudyError: If the file cannot be read, or a line before the last is broken.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as err:
        raise StudyError(
            f"{path} must be readable, but: {err.strerror}. It is the study's record."
        ) from err
    events, whole = [], 0
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):  # what follows the last \n is torn
        event = _decode(line)
        if event is None and number == len(lines) - 1 and not lines[-1]:
            break
        if event is None:
            raise StudyError(
                f"{path}:{number}: the study's record must be as it was written, but "
                "this line is damaged. Put back a copy of the file, or start anew with "
                "another --name."
            )
        events.append(event)
        whole += len(line) + 1
    return events, whole


class EventLog:
    """The file, open for appending.

    An event is with the operating system when `append` returns: it survives the death
    of this process. Events that must survive a power cut too are written with
    `durable=True`.

    Args:
        path: The file; its folder must exist. A torn last line is cut off.

    Attributes:
        events: What the file held when it was opened, until they are forgotten.

    Raises:
        StudyError: If the file cannot be read or written, or is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "record.jsonl")
        >>> log = EventLog(path)
        >>> log.append({"event": "started", "number": 0})
        >>> log.close()
        >>> EventLog(path).events
        [{'event': 'started', 'number': 0}]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._error: StudyStoppedError | None = None
        self.events, self._size = read_events(path)
        try:
            self._file: BinaryIO | None = path.open("ab", buffering=0)
            self._file.truncate(self._size)
        except OSError as err:
            raise StudyError(
                f"{path} must be writable, but: {err.strerror}. Free it, or choose "
                "another --storage."
            ) from err

    def __getstate__(self) -> dict[str, Any]:
        """Without the open file: Ray writes what refers to the log to disk."""
        return {**self.__dict__, "_file": None}

    def forget(self) -> None:
        """Keep of the events only the first, the header, once all are known elsewhere.

        They take more memory than what is made of them, for the rest of a session.
        """
        del self.events[1:]

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Add an event.

        Raises:
            StudyStoppedError: If it cannot be written, as on a full disk; the file
                then holds what it held before, and takes no more: a record with a gap
                would be wrong.
        """
        file = self._file
        if file is None:
            raise RuntimeError("An event log must be open to be written to.")
        if self._error is not None:
            raise self._error
        line = rest = _encode(event)
        try:
            while rest:  # a disk that fills up takes a part, and then says so
                rest = rest[file.write(rest) :]
            if durable:
                os.fsync(file.fileno())
        except OSError as err:
            with contextlib.suppress(OSError):  # the next session cuts it off
                file.truncate(self._size)
            self._error = out_of_room(
                f"{self.path} must be writable, but: {err.strerror}"
            )
            raise self._error from err
        self._size += len(line)

    def close(self) -> None:
        """Close the file; what was appended stays."""
        if self._file is not None:
            self._file.close()
            self._file = None
