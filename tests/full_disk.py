"""A disk that is full, for one file."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(path, room=0):
    """No file of this process grows beyond the size of this one and so many bytes.

    The system's own limit: it takes a part of a write, then refuses, as a full disk
    does.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
