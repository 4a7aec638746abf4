"""Measures of memory: in a process of its own, which nothing has used before."""

import contextlib
import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def apart(function, *arguments):
    """What a function of a module returns in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(function, *arguments).result()


def resident_kb():
    """Memory of this process (where there is no /proc, its largest so far)."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
