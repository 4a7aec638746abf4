r"""An append-only file of events, which survives the death of its writer.

One line an event: its JSON, a tab, the CRC-32 of the JSON. A line that is cut short can
only be the last one, of a process that died while it wrote: it is dropped. A broken
line anywhere else is damage from outside, and is refused rather than guessed at.
"""

import contextlib
import json
import os
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from orthotune.errors import StudyError, StudyStoppedError, out_of_room

LINE_BYTES = 1024
"""What most lines fit into: so much is read at once."""

Event = dict[str, Any]


def _encode(event: Event) -> bytes:
    text = json.dumps(event, separators=(",", ":")).encode()
    return b"%s\t%08x\n" % (text, zlib.crc32(text))


def _text(line: bytes) -> bytes | None:
    """The JSON of a line; None if the line is not whole."""
    text, _, crc = line.rpartition(b"\t")
    return text if text and crc == b"%08x\n" % zlib.crc32(text) else None


def _read_texts(path: Path) -> Iterator[tuple[int, bytes]]:
    """The byte after each line of a file, and its JSON."""
    end = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = _text(line)
                if text is None and not file.read(1):
                    return
                if text is None:
                    raise StudyError(
                        f"{path}:{number}: the study's record must be as it was "
                        "written, but this line is damaged. Put back a copy of the "
                        "file, or start anew with another --name."
                    )
                end += len(line)
                yield end, text
    except FileNotFoundError:
        return
    except OSError as err:
        raise _unreadable(path, err) from err


def _unreadable(path: Path, err: OSError) -> StudyError:
    return StudyError(
        f"{path} must be readable, but: {err.strerror}. It is the study's record."
    )


def read_events(path: Path) -> Iterator[tuple[int, Event]]:
    """The events of a file, one after the other, each with the byte it begins at.

    Args:
        path: The file; one that does not exist holds no events.

    Raises:
        StudyError: If the file cannot be read, or a line before the last is broken.
    """
    place = 0
    for end, text in _read_texts(path):
        yield place, json.loads(text)
        place = end


def first_event(content: bytes) -> Event | None:
    """The first event of a file's content; None if there is no whole one."""
    text = _text(content[: content.find(b"\n") + 1])
    return None if text is None else json.loads(text)


class EventLog:
    """The file, open for appending.

    An event is with the operating system when `append` returns: it survives the death
    of this process. Events that must survive a power cut too are written with
    `durable=True`.

    Args:
        path: The file; its folder must exist. A torn last line is cut off.

    Attributes:
        header: The first event, if the file held one when it was opened.

    Raises:
        StudyError: If the file cannot be read or written, or is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "record.jsonl")
        >>> log = EventLog(path)
        >>> place = log.append({"event": "started", "number": 0})
        >>> log.close()
        >>> log.read(place)
        {'event': 'started', 'number': 0}
        >>> list(EventLog(path).events())
        [(0, {'event': 'started', 'number': 0})]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._error: StudyStoppedError | None = None
        self.header: Event | None = None
        self._size = 0
        for self._size, text in _read_texts(path):
            self.header = self.header or json.loads(text)
        try:
            self._file: BinaryIO | None = path.open("ab", buffering=0)
            self._file.truncate(self._size)
            # Apart, and as long as this object: records are read after the end, too.
            self._readable: int | None = os.open(path, os.O_RDONLY)
        except OSError as err:
            raise StudyError(
                f"{path} must be writable, but: {err.strerror}. Free it, or choose "
                "another --storage."
            ) from err
        weakref.finalize(self, os.close, self._readable)

    def __getstate__(self) -> dict[str, Any]:
        """The state without the open file, since Ray pickles what refers to the log."""
        return {**self.__dict__, "_file": None, "_readable": None}

    def events(self) -> Iterator[tuple[int, Event]]:
        """All events so far, each with its place; as `read_events`."""
        return read_events(self.path)

    def read(self, place: int) -> Event:
        """The event at a place, from any thread, also after the log was closed.

        Args:
            place: What `append` or `events` gave.

        Raises:
            StudyError: If it cannot be read, or is not there any more.
        """
        text = _text(self._line(place))
        if text is None:
            raise StudyError(
                f"{self.path}: the study's record must be as it was written, but "
                f"something has changed it (at byte {place}). Put back a copy of the "
                "file, and type the same command again."
            )
        return json.loads(text)

    def _line(self, place: int) -> bytes:
        """What there is from a place to the end of its line; empty if that has none."""
        if self._readable is None:
            raise RuntimeError("An event log must be open to be read.")
        size = LINE_BYTES
        while True:
            try:
                found = os.pread(self._readable, size, place)
            except OSError as err:
                raise _unreadable(self.path, err) from err
            end = found.find(b"\n") + 1
            if end or len(found) < size:
                return found[:end]
            size *= 2

    def append(self, event: Event, *, durable: bool = False) -> int:
        """Add an event.

        Returns:
            Its place, the byte at which its line begins.

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
        place, self._size = self._size, self._size + len(line)
        return place

    def close(self) -> None:
        """Append no more; what was appended stays, and can be read."""
        if self._file is not None:
            self._file.close()
            self._file = None
