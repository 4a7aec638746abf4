"""How much of a machine's memory is free for images."""

import contextlib
import os
from pathlib import Path

import torch

GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""Of a container: what it may take, and takes."""


def free_bytes(device: torch.device) -> int:
    """Memory that is free where images of a device are held, at least 0.

    On a GPU the images pass through the machine's own memory: both must have room.

    Example:
        >>> free_bytes(torch.device("cpu")) > 0
        True
    """
    free = [_available(), *(_left(*paths) for paths in GROUPS)]
    if device.type == "cuda":
        free.append(torch.cuda.mem_get_info(device)[0])
    return max(0, min(bytes_ for bytes_ in free if bytes_ is not None))


def _available() -> int:
    """By the kernel's estimate, caches that it would give up included."""
    with contextlib.suppress(OSError):  # which other systems do not have
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _left(limit: str, taken: str) -> int | None:
    """What is left of a limit; None where there is none."""
    try:
        return int(Path(limit).read_text()) - int(Path(taken).read_text())
    except (OSError, ValueError):  # no such group, or `max`
        return None
