"""Files that are whole or absent, whatever dies while they are written."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes its name only once it is whole and on disk.

    Args:
        path: The file; its folder must exist. What was there stays until then.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "note")
        >>> with atomic_write(path) as file:
        ...     _ = file.write(b"whole")
        >>> path.read_bytes()
        b'whole'
    """
    # Its own name: a worker that its driver's death has left may write there too.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def remove_partials(folder: Path) -> None:
    """Delete what a process that died while it wrote has left in a folder."""
    for stray in folder.glob(".*.partial"):
        stray.unlink()
