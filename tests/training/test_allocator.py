import ctypes
import os
import resource
import subprocess
import sys

import pytest

from orthotune.training import allocator as heap
from orthotune.training.allocator import keep_freed_memory

HAS_MALLOPT = hasattr(ctypes.CDLL(None), "mallopt")

FAULTS = """\
import resource, sys, torch
from orthotune.training.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(2, 1024, 1024) for _ in range(20)]  # 8 MiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(4):
    last = faults()
print(last)
"""


def page_faults(how):
    """Page faults of the last of some rounds.

    glibc's threshold is fixed where it starts. By itself it grows as blocks are freed,
    and what the next round then gets back depends on what lies on top of the heap.
    """
    command = [sys.executable, "-c", FAULTS, how]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(128 << 10)}
    return int(subprocess.check_output(command, text=True, env=environment))


@pytest.mark.skipif(not HAS_MALLOPT, reason="another C library than glibc")
def test_what_is_freed_is_used_again_without_page_faults():
    pages = 20 * (8 << 20) // resource.getpagesize()
    assert page_faults("kept") < pages / 10
    assert page_faults("default") > pages / 2


def test_a_c_library_without_mallopt_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _name: object())
    assert keep_freed_memory.__wrapped__() is False
