"""A lock: one driver a study. The system releases it when its holder dies."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orthotune.errors import StudyError


@contextmanager
def study_lock(path: Path) -> Iterator[None]:
    """Hold a study's lock, or say who does.

    The operating system's lock on the open file is what counts: it ends with the
    process, however that dies. What the file says is for people.

    Args:
        path: The lock file; its folder must exist.

    Raises:
        StudyError: If another process holds it, or the file cannot be locked.

    Example:
        >>> import tempfile
        >>> with study_lock(Path(tempfile.mkdtemp(), "lock")):
        ...     pass
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("ab", buffering=0))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise StudyError(
                f"Only one process may run a study, but {_holder(path)} runs the one "
                f"in {path.parent}. Wait for it, stop it, or choose another --name."
            ) from err
        except OSError as err:
            raise StudyError(
                f"{path} must be a file that can be locked, but: {err.strerror}. Free "
                "it, or choose another --storage."
            ) from err
        here = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.ctime()}
        with contextlib.suppress(OSError):  # a full disk is said by those who need it
            file.truncate(0)
            file.write(json.dumps(here).encode())
        yield


def is_locked(path: Path) -> bool:
    """Whether a process holds a study's lock; False where that cannot be seen."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _holder(path: Path) -> str:
    try:
        there = json.loads(path.read_text())
        return f"process {there['pid']} on {there['host']}, since {there['since']},"
    except (OSError, ValueError, KeyError, TypeError):  # it is writing this very moment
        return "another process"
