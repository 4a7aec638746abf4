"""A folder of this process for what need not outlast it, in the temporary directory.

Ray's session and what Tune writes of an experiment go there. It is removed when the
process ends, and by the next one where this one could not: a lock says who still lives.
"""

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

PREFIX = "orthotune-"
LOCK = ".orthotune-scratch"
"""The file by which such a folder is known: a study's folder has a lock, too."""

STALE_S = 3600
"""Age of a folder that has not come to its name, after which its maker is dead."""

LONGEST = 40
"""Characters of the folder's path: Ray makes sockets in it, whose paths are limited."""


def scratch_folder() -> Path:
    """The folder, the same at every call of a process.

    Example:
        >>> scratch_folder() == scratch_folder(), scratch_folder().is_dir()
        (True, True)
    """
    return _made(os.getpid())  # a forked process has one of its own


@functools.cache
def _made(pid: int) -> Path:
    root = _root()
    remove_dead(root)
    draft = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=root))
    lock = (draft / LOCK).open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Under its name only once it is locked: it would be taken for a dead process's.
    folder = draft.rename(root / draft.name.removeprefix("."))
    atexit.register(_remove, folder, lock, pid)
    return folder


def remove_scratch_folder() -> None:
    """Remove the folder now, where Python will not come to its own end."""
    atexit.unregister(_remove)
    shutil.rmtree(scratch_folder(), ignore_errors=True)


def _root() -> Path:
    """The temporary directory, or /tmp where that has too long a path for sockets."""
    named, short = Path(tempfile.gettempdir()), Path("/tmp")
    length = len(os.fsencode(named / f"{PREFIX}xxxxxxxx"))
    return named if length <= LONGEST or not os.access(short, os.W_OK) else short


def remove_dead(root: Path) -> None:
    """Remove what processes of this user have left that died before they could.

    Args:
        root: The temporary directory.
    """
    for folder in root.glob(f"{PREFIX}????????"):
        with contextlib.suppress(OSError):  # another's, or removed by another meanwhile
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
    for draft in root.glob(f".{PREFIX}????????"):
        with contextlib.suppress(OSError):
            found = draft.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > STALE_S:
                (draft / LOCK).unlink(missing_ok=True)
                draft.rmdir()  # nothing else is in it before it has its name


def _remove(folder: Path, lock: IO[bytes], pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()
