"""A lease: one driver a study where files cannot be locked. Its holder renews a file.

An object store has no locks. So the driver writes who it is, again and again; whoever
wants the study and finds such a file watches it for longer than its holder would need
to renew it. No clocks are compared, only what changes.
"""

import contextlib
import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthotune.console import note
from orthotune.errors import StudyError, StudyStoppedError
from orthotune.storage.folder import StorageFolder

NAME = "driver.json"
RENEW_S = 5.0
SILENT_S = 20.0
"""A holder that has not renewed its lease for so long is taken for dead."""

SETTLE_S = 1.0
"""After which two that took the lease at once both see who has it."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The holder of a study's lease, as its workers know it.

    Args:
        study: URI of the study's folder.
        id: The holder's.
    """

    study: str
    id: str

    def has_it(self) -> bool:
        """Whether it still has the lease.

        Raises:
            OSError: If the storage cannot be read.
        """
        return (_read(StorageFolder(self.study)) or {}).get("id") == self.id


class Lease:
    """The right to run a study, held by one process at a time.

    A holder that was cut off and comes back finds another's name there, and must stop:
    `renew` says so.

    Args:
        folder: The study's, in its storage.

    Example:
        >>> import tempfile
        >>> lease = Lease(StorageFolder(tempfile.mkdtemp()))
        >>> lease.acquire()
        >>> lease.renew()
        >>> lease.release()
    """

    def __init__(self, folder: StorageFolder) -> None:
        self._folder = folder
        self._beats = 0
        self._held = False
        self._mine = {
            "host": socket.gethostname(),
            "machine": _machine(),
            "pid": os.getpid(),
            "since": time.ctime(),
            "id": uuid.uuid4().hex,
        }

    @property
    def holder(self) -> Holder:
        """This process, if it has the lease."""
        return Holder(study=self._folder.uri, id=self._mine["id"])

    def acquire(self) -> None:
        """Take it, from nobody or from one that is dead.

        Raises:
            StudyError: If another process holds it.
            OSError: If the storage cannot be read or written.
        """
        there = self._read()
        if there is not None and not _died_here(there):
            self._watch(there)
        self._write()
        time.sleep(SETTLE_S)
        there = self._read()
        if there is not None and there.get("id") != self._mine["id"]:
            raise self._taken(there)
        self._held = True

    def renew(self) -> None:
        """Say that this process lives.

        Raises:
            StudyStoppedError: If another has taken it.
            OSError: If the storage cannot be read or written.
        """
        self.check()
        self._write()

    def check(self) -> None:
        """Refuse to go on with a study that another has; nothing if it never was ours.

        No lease at all is another's as well: who took it over has given it back.

        Raises:
            StudyStoppedError: If another has taken it.
            OSError: If the storage cannot be read.
        """
        if self._held and not self.is_ours():
            who = _who(self._read() or {})
            raise StudyStoppedError(
                f"Only one process may run a study, but {who} has taken over the one "
                f"in {self._folder.place('')}. This one stops; nothing is lost."
            )

    def is_ours(self) -> bool:
        """Whether this process is its holder.

        Raises:
            OSError: If the storage cannot be read.
        """
        return self.holder.has_it()

    def release(self) -> None:
        """Give it back, if it is still ours."""
        with contextlib.suppress(OSError):
            if self.is_ours():
                self._folder.delete(NAME)

    def _watch(self, there: dict[str, Any]) -> None:
        """Wait until a holder has been silent for long enough."""
        note(
            f"{_who(there)} ran this study; looking for up to {SILENT_S:.0f} s whether "
            "it still does."
        )
        end = time.monotonic() + SILENT_S
        while time.monotonic() < end:
            time.sleep(min(1.0, SILENT_S / 4))
            now = self._read()
            if now is None:
                return
            if now != there:
                raise self._taken(now)

    def _taken(self, there: dict[str, Any]) -> StudyError:
        return StudyError(
            f"Only one process may run a study, but {_who(there)} runs the one in "
            f"{self._folder.place('')}. Wait for it, stop it, or choose another --name."
        )

    def _read(self) -> dict[str, Any] | None:
        return _read(self._folder)

    def _write(self) -> None:
        self._beats += 1
        content = json.dumps({**self._mine, "beat": self._beats})
        self._folder.write(NAME, content.encode())


def _read(folder: StorageFolder) -> dict[str, Any] | None:
    content = folder.read(NAME)
    if content is None:
        return None
    try:
        there = json.loads(content)
    except ValueError:
        return {}  # of somebody unknown
    return there if isinstance(there, dict) else {}


def _who(there: dict[str, Any]) -> str:
    if not {"pid", "host", "since"} <= there.keys():
        return "another process"
    return f"process {there['pid']} on {there['host']}, since {there['since']},"


def _machine() -> str:
    """An id of this machine or container; names and process numbers may repeat."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _died_here(there: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is gone."""
    here = (socket.gethostname(), _machine())
    if (there.get("host"), there.get("machine")) != here:
        return False
    try:
        os.kill(int(there["pid"]), 0)
    except ProcessLookupError:
        return True
    except (KeyError, TypeError, ValueError, OSError):
        return False
    return False
