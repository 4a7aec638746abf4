"""Opens the record of a study, or begins a new one.

It is a file of this machine. In a storage that several nodes reach by URI there is a
copy (`mirror.py`), from which a driver on any node goes on.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.fs

from orthotune.errors import StudyError, StudyStoppedError
from orthotune.record.event_log import Event, EventLog, read_events
from orthotune.record.identity import Definition, differences
from orthotune.record.journal import now_ms
from orthotune.record.mirror import RecordMirror
from orthotune.record.study_definition import Study
from orthotune.record.warm_start import WARM_START
from orthotune.storage.folder import is_remote, joined
from orthotune.storage.lock import study_lock
from orthotune.storage.permission import trouble_with
from orthotune.storage.redaction import without_secrets
from orthotune.storage.scratch import scratch_folder

FORMAT = 1
RECORD = "record.jsonl"
LOCK = "lock"


def study_folder(name: str, storage: str) -> Path:
    """The folder of a study on this machine; also where its storage is remote.

    Of every remote storage there is one of its own: what one holds says nothing of a
    study of the same name in another.

    Example:
        >>> study_folder("wide", "s3://bucket/studies").relative_to(Path.cwd())
        PosixPath('studies/s3-bucket-studies-b02e95/wide')
    """
    root = Path("studies", _name_of(storage)) if is_remote(storage) else Path(storage)
    return Path(os.path.realpath(root)) / name


def _name_of(storage: str) -> str:
    """A name for the folder of a remote storage; who reads it is not part of it."""
    shown = without_secrets(storage).rstrip("/")
    if not shown.startswith("abfs"):  # where a container stands before the @
        shown = re.sub(r"(?<=://)[^/]*@", "", shown)
    digest = hashlib.sha256(shown.encode()).hexdigest()[:6]
    place = re.sub(r"[^\w.]+", "-", shown.partition("?")[0])
    return f"{place[:60]}-{digest}"


@contextmanager
def record_to_read(name: str, storage: str) -> Iterator[Path]:
    """The record of a study as a file to look into; nothing is changed.

    Raises:
        StudyError: If the storage cannot be read.
    """
    here = study_folder(name, storage) / RECORD
    if not is_remote(storage):
        yield here
        return
    _check_uri(storage)
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as folder:
        copy = Path(folder, RECORD)
        try:
            copy.write_bytes(RecordMirror(here, joined(storage, name)).content())
        except OSError as err:
            raise StudyError(
                f"--storage must be readable, but {without_secrets(storage)}: "
                f"{str(err).splitlines()[0]}. Free it, or choose another one."
            ) from err
        yield copy if copy.stat().st_size else here


@contextmanager
def copied_log(record: Path) -> Iterator[EventLog]:
    """A copy of a record, open; events can be read from it when it is closed, too.

    A journal cuts off a line that its writer has not finished: so it gets a copy.

    Args:
        record: The record; one that does not exist has no header.

    Raises:
        StudyError: If it cannot be read, or is damaged.
    """
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as folder:
        copy = Path(folder, RECORD)
        if record.exists():
            shutil.copyfile(record, copy)
        log = EventLog(copy)
        try:
            yield log
        finally:
            log.close()


def check_storage(folder: Path, storage: str) -> None:
    """Refuse a storage that cannot be written to before anything is started.

    Args:
        folder: The study's on this machine.
        storage: As the user gave it.

    Raises:
        StudyError: If it cannot be opened, or the folder not be written to.
    """
    if is_remote(storage):
        _check_uri(storage)
    trouble = _trouble_with(folder)
    if trouble and is_remote(storage):
        raise StudyError(
            "A study keeps a part of its files where it is started, which must be a "
            f"folder that can be written to, but {trouble}. Start it in another one."
        )
    if trouble:
        raise StudyError(
            f"--storage must be a folder that can be written to, but {trouble}. Choose "
            "another one."
        )


def _trouble_with(folder: Path) -> str:
    """Why a study's folder cannot be used; an empty string if it can."""
    inside = (Path(path, name) for path, names, _ in os.walk(folder) for name in names)
    files = (folder / name for name in (RECORD, LOCK))
    found = [trouble_with(one, folder=True) for one in (folder, *inside)]
    found += [trouble_with(one, folder=False) for one in files]
    return next(filter(None, found), "")


def _check_uri(storage: str) -> None:
    if not re.fullmatch(r"[^?#]*(\?[^?#=/]+=[^?#]*)?", storage):
        raise StudyError(
            "--storage must be a folder or a URI, in which ? and # of a name are "
            f"written %3F and %23, but got {without_secrets(storage)!r}."
        )
    try:
        pyarrow.fs.FileSystem.from_uri(storage)
    except (OSError, ValueError) as err:  # ArrowInvalid is a ValueError
        raise StudyError(
            "--storage must be a folder or a URI that can be opened, but got "
            f"{without_secrets(storage)!r} "
            f"({without_secrets(str(err)).splitlines()[0]})."
        ) from err


def check_format(header: Event, path: Path) -> None:
    """Refuse a record that this version cannot read.

    Args:
        header: The first event of the record.
        path: The record.

    Raises:
        StudyError: If it is of another format.
    """
    if header.get("format") != FORMAT:
        raise StudyError(
            f"{path} must be a record of format {FORMAT}, but is not: another version "
            "of orthotune wrote it. Start a new study with --name."
        )


def check_continued(study: Study, header: Event, asked: Definition, path: Path) -> None:
    """Refuse the record of another study than the one that is asked for.

    Args:
        study: The study.
        header: The first event of the record.
        asked: What the study asks.
        path: The record.

    Raises:
        StudyError: If it is of another format, or of another question.
    """
    check_format(header, path)
    changed = differences(asked, header["definition"])
    if changed:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise StudyError(
            f"{study.path}: the study {study.settings.name} must go on as it began, "
            f"but {changed[0]}{more}. Put it back, or start a new study with --name."
        )


class RecordOpening:
    """Opens and locks the record of one study; an `ExitStack` closes it.

    Args:
        study: The study.
        storage: Where it keeps its files.
        asked: What it asks.
        stack: Closes what is opened.
        on_lost: Told if another process takes over the study.

    Attributes:
        folder: The study's on this machine.
        mirror: The copy of its record, where its storage is remote.
    """

    def __init__(
        self,
        study: Study,
        storage: str,
        asked: Definition,
        stack: contextlib.ExitStack,
        on_lost: Callable[[StudyStoppedError], None],
    ) -> None:
        self._study = study
        self._on_lost = on_lost
        self._asked = asked
        self._stack = stack
        self.folder = study_folder(study.settings.name, storage)
        self._path = self.folder / RECORD
        self._made = [one for one in self.folder.parents if not os.path.exists(one)]
        self.mirror: RecordMirror | None = None
        if is_remote(storage):
            self.mirror = RecordMirror(self._path, joined(storage, study.settings.name))

    def continued(self) -> EventLog | None:
        """The locked log of a study that has begun; None for a new one.

        Raises:
            StudyError: If another process runs the study, it began with another
                question, or its record cannot be read.
        """
        header = self.mirror.header() if self.mirror is not None else None
        if header is None:
            header = next((event for _, event in read_events(self._path)), None)
        if header is None:
            if self.mirror is not None:
                self.mirror.probe()
            return None
        check_continued(self._study, header, self._asked, self._path)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        if self.mirror is not None:
            self.mirror.restore()
            self.mirror.start(self._on_lost)
        log = EventLog(self._path)
        self._stack.callback(log.close)
        return log

    def begun(self, study_id: str) -> EventLog:
        """The locked log of a new study.

        Raises:
            StudyError: If it cannot be written, or another process begins it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StudyError(
                f"--storage must be writable, but {self.folder}: {err.strerror}."
            ) from err
        self._lock()
        log = EventLog(self._path)
        self._stack.callback(log.close)
        there = self.mirror.header() if self.mirror is not None else None
        if log.header is not None or there is not None:
            raise StudyError(
                "Only one process may begin a study, but another has begun the one in "
                f"{self.folder} meanwhile. The same command continues it."
            )
        header = {
            "event": "study",
            "format": FORMAT,
            "id": study_id,
            "definition": self._asked,
        }
        if self._study.warm_start is not None:
            header[WARM_START] = self._study.warm_start.to_dict()
        log.append({**header, "time": now_ms()}, durable=True)
        if self.mirror is not None:
            try:
                self.mirror.begin()
            except StudyError:
                self.undo()
                raise
            self.mirror.start(self._on_lost)
        return log

    def undo(self) -> None:
        """Leave nothing of a study that could not begin."""
        if self.mirror is not None and self._path.exists():
            self.mirror.discard()
        self._path.unlink(missing_ok=True)
        (self.folder / LOCK).unlink()
        with contextlib.suppress(OSError):  # there is something of the user's in it
            for folder in (self.folder, *self._made):
                folder.rmdir()

    def _lock(self) -> None:
        self._stack.enter_context(study_lock(self.folder / LOCK))
        if self.mirror is None:
            return
        try:
            self.mirror.acquire()
        except StudyError:
            if not self._path.exists():
                self.undo()
            raise
        self._stack.callback(self.mirror.close)
