"""The study's record in a storage that nothing can be appended to, as an object store.

The driver writes its record to a file of its own machine, as always. Behind it a thread
copies what is new, once a second, so that a driver on another node can go on. The copy
is in parts: a part is written again as it grows, until it is large; then the next one
begins. So a second costs one small write, and a record few objects.

The copy may lag behind the file. What others see must not get ahead of the copy, or a
driver that starts from it would do things twice: MLflow is written, and checkpoints are
deleted, only once the events they follow from are there.
"""

import contextlib
import itertools
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from orthotune.console import note
from orthotune.errors import StudyError, StudyStoppedError
from orthotune.files import atomic_write
from orthotune.record.event_log import Event, first_event
from orthotune.storage.folder import StorageFolder, joined
from orthotune.storage.lease import RENEW_S, Holder, Lease

COPY_S = 1.0
PART_BYTES = 256 * 1024


def _part(start: int) -> str:
    """The name of the part that begins at a byte; names sort as the parts do."""
    return f"{start:015d}.jsonl"


class RecordMirror:
    """A study's record in its storage, kept up to date from the local file.

    Args:
        path: The record's local file.
        storage: URI of the study's folder.

    Example:
        >>> import tempfile
        >>> here, there = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
        >>> mirror = RecordMirror(here / "record.jsonl", there.as_uri())
        >>> _ = (here / "record.jsonl").write_bytes(b"{}")
        >>> mirror.settle()
        >>> mirror.content()  # not a whole line yet
        b''
    """

    def __init__(self, path: Path, storage: str) -> None:
        self._path = path
        self._folder = StorageFolder(joined(storage, "record"))
        self._study = StorageFolder(storage)
        self._lease = Lease(self._study)
        self._start = 0  # of the part that grows
        self._copied = 0
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._queueing = threading.Lock()
        self._copying = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._warned = False

    def header(self) -> Event | None:
        """The first event of the copy; None if there is no copy.

        Raises:
            StudyError: If the storage cannot be read.
        """
        try:
            content = self._folder.read(_part(0))
        except OSError as err:
            raise self._unusable(err) from err
        return None if content is None else first_event(content)

    def probe(self) -> None:
        """Write to the storage, and leave it as it was.

        Raises:
            StudyError: If it cannot be written to.
        """
        name = f"probe-{uuid.uuid4().hex[:8]}"
        try:
            self._folder.write(name, b"")
            self._folder.delete(name)
            self._remove_empty()
        except OSError as err:
            raise self._unusable(err) from err

    def content(self) -> bytes:
        """The whole copy.

        Raises:
            OSError: If the storage cannot be read.
        """
        return b"".join(self._parts())

    def acquire(self) -> None:
        """Become the one driver of the study.

        Raises:
            StudyError: If another process is, or the storage cannot be written to.
        """
        try:
            self._lease.acquire()
        except OSError as err:
            raise self._unusable(err) from err

    @property
    def holder(self) -> Holder:
        """Who runs the study, if this process does."""
        return self._lease.holder

    def restore(self) -> None:
        """Restore the local file from the copy, unless it is longer than the copy.

        The copy counts where the two differ, as after another node went on with the
        study: what this one had not copied is kept beside the file.

        Raises:
            StudyError: If the storage cannot be read, or the file not be written.
        """
        try:
            parts = self._parts()
            there = b"".join(parts)
            here = self._path.read_bytes() if self._path.exists() else b""
            if not here.startswith(there):
                if not there.startswith(here):
                    aside = f"{self._path.name}.not-copied-{time.time_ns()}"
                    self._path.replace(self._path.with_name(aside))
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(self._path) as file:
                    file.write(there)
            self._copied = len(there)
            last = len(parts[-1]) if parts else 0
            self._start = len(there) - (last if last < PART_BYTES else 0)
            self._forget(parts)
        except OSError as err:
            raise self._unusable(err) from err

    def begin(self) -> None:
        """Copy the header of a new study.

        Raises:
            StudyError: If the storage cannot be written to.
        """
        try:
            self._copy()
        except OSError as err:
            raise self._unusable(err) from err

    def start(self, on_lost: Callable[[StudyStoppedError], None]) -> None:
        """Start copying.

        Args:
            on_lost: Told if another process has taken over the study.
        """
        self._thread = threading.Thread(
            target=self._keep_up, args=[on_lost], name="record-mirror", daemon=True
        )
        self._thread.start()

    def settle(self) -> None:
        """Copy all that the file holds, now.

        Raises:
            OSError: If the storage cannot be written to, or the study is another's.
        """
        try:
            self._copy()
        except (OSError, StudyStoppedError) as err:
            raise OSError(f"the record must be in --storage first: {err}") from err

    def later(self, action: Callable[[], None]) -> None:
        """Call a function once the copy is as long as the file is now."""
        place = self._size()
        with self._queueing:
            self._later.append((place, action))

    def close(self) -> None:
        """Copy what is left, and let another driver have the study."""
        if self._closed.is_set():
            return  # discarded
        self._stop_keeping_up()
        with contextlib.suppress(StudyStoppedError):
            self._try_copy()
        self._lease.release()

    def discard(self) -> None:
        """Remove the copy of a study that could not begin, unless another has it."""
        self._stop_keeping_up()
        with contextlib.suppress(OSError, StudyStoppedError):
            self._lease.check()
            self._folder.clear()
        self._lease.release()
        with contextlib.suppress(OSError):
            self._remove_empty()

    def _stop_keeping_up(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_up(self, on_lost: Callable[[StudyStoppedError], None]) -> None:
        renewed = float("-inf")
        while not self._closed.wait(COPY_S):
            try:
                if time.monotonic() - renewed > RENEW_S:
                    self._lease.renew()
                    renewed = time.monotonic()
                self._try_copy()
            except StudyStoppedError as err:
                on_lost(err)
                return
            except OSError as err:  # and nothing is copied by who may have lost it
                self._warn(err)

    def _try_copy(self) -> None:
        try:
            self._copy()
        except OSError as err:
            self._warn(err)

    def _copy(self) -> None:
        with self._copying:
            content = self._whole_lines()
            end = self._start + len(content)
            if end > self._copied:
                # A write that was held up must not undo what another has done since.
                self._lease.check()
                self._folder.write(_part(self._start), content)
                self._copied = end
                if len(content) >= PART_BYTES:
                    self._start = end
            with self._queueing:
                due = [action for place, action in self._later if place <= self._copied]
                self._later = [one for one in self._later if one[0] > self._copied]
        for action in due:
            action()

    def _whole_lines(self) -> bytes:
        """The file from the growing part on; a line that is being written waits."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._start)
                content = file.read()
        except FileNotFoundError:
            return b""
        return content[: content.rfind(b"\n") + 1]

    def _parts(self) -> list[bytes]:
        """The parts of the copy, as far as one follows the other."""
        parts: list[bytes] = []
        size = 0
        while (content := self._folder.read(_part(size))) is not None and content:
            parts.append(content)
            size += len(content)
        return parts

    def _forget(self, parts: list[bytes]) -> None:
        """Delete files that are no part of the copy, as a dead driver leaves them."""
        starts = itertools.accumulate(map(len, parts), initial=0)
        kept = {_part(start) for start, _ in zip(starts, parts, strict=False)}
        for name in set(self._folder.names()) - kept:
            self._folder.delete(name)

    def _remove_empty(self) -> None:
        """Remove the folders of the copy and of the study, if nothing is in them."""
        for folder in (self._folder, self._study):
            if not folder.names():
                folder.clear()

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _unusable(self, err: OSError) -> StudyError:
        return StudyError(
            f"--storage must be readable and writable, but {self._folder.place('')}: "
            f"{_reason(err)}. Free it, or choose another one."
        )

    def _warn(self, err: OSError) -> None:
        if self._warned:
            return
        self._warned = True
        note(
            f"warning: --storage {self._folder.place('')} fails ({_reason(err)}); "
            "training goes on, and what it misses is written when it answers."
        )


def _reason(err: OSError) -> str:
    return err.strerror or (str(err).splitlines() or [repr(err)])[0].rstrip(".")
