"""Settings of the C library's allocator, so that it keeps what training frees.

A step frees its activations and asks for as much again a moment later. By default glibc
hands blocks of this size back to the system, which gives them again page by page, each
zeroed: up to a quarter of a step went there (plain-44 at 32x32, batch 128: 116,000 page
faults a step).
"""

import ctypes
from functools import lru_cache

# Of glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc refuses more
NEVER = -1


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Keep freed blocks of up to 32 MiB in this process, for its next allocations.

    The process then stays as large as it was at its largest, as with a caching
    allocator on a GPU.

    Returns:
        Whether the C library took it; one that is not glibc is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    return bool(kept and mallopt(M_TRIM_THRESHOLD, NEVER))
