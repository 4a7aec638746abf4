"""Memory and other processes of the GPU that this process computes on.

The one place that asks. Where there is no GPU only `gpu_names`, `is_out_of_memory` and
`is_broken` may be called.
"""

import contextlib
import gc
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from orthotune.errors import GpuBusyError

WAIT_S = 60.0
"""How long a process that has ended, or is about to, may keep memory."""

POLL_S = 0.5
MOST = 0.9
"""The part of its share that a trial is made to wait for, whatever was measured: on a
GPU of another kind, or to the last megabyte, it might never be there."""

PROMISED = 0.75
"""The part of its share of a GPU that a trial must find there, if nobody has measured
what it needs: a screen or another process's kernels may have the rest."""


NAME_GPUS = """\
import torch
for number in range(torch.cuda.device_count()):
    print(torch.cuda.get_device_name(number))
"""


def gpu_names(*, all_there_are: bool = True) -> list[str]:
    """The GPUs of this machine that torch sees, by name.

    In a process of its own, as this one is not to use any.

    Args:
        all_there_are: Also those that are hidden from this process, as Ray does.
    """
    hidden = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES") if all_there_are else ()
    done = subprocess.run(
        [sys.executable, "-c", NAME_GPUS],
        env={name: val for name, val in os.environ.items() if name not in hidden},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines() if done.returncode == 0 else []


def make_room(share: float, needed_bytes: int | None) -> None:
    """Give back what this process does not use, and wait for what it will.

    From then on this process gets no more than its share: a trial that grows beyond it
    runs out of memory itself, and not its neighbour.

    Args:
        share: Part of the GPU that is this process's; 1 or more is all of it.
        needed_bytes: Of its tensors at their peak; None if that is unknown, and
            `PROMISED` of its share then must be there.

    Raises:
        GpuBusyError: If others hold that memory for `WAIT_S`.
    """
    gc.collect()
    torch.cuda.empty_cache()
    share = min(1.0, share)
    # Not by `mem_get_info`, which fails where there is no room to be there at all.
    own = share * torch.cuda.get_device_properties(0).total_memory
    if needed_bytes is None:
        needed_bytes = int(PROMISED * own)
    wait_for(min(needed_bytes, int(MOST * own)))
    torch.cuda.set_per_process_memory_fraction(share)


def wait_for(needed_bytes: int) -> None:
    """Wait until this process's tensors may take so many bytes.

    Raises:
        GpuBusyError: If others hold that memory for `WAIT_S`; it names them.
    """
    end = time.monotonic() + WAIT_S
    while (left := _left()) < needed_bytes:
        if time.monotonic() > end:
            raise GpuBusyError(
                f"A trial must find {_gigabytes(needed_bytes)} free on its GPU, but "
                f"after {WAIT_S:.0f} s there are {_gigabytes(left)}: {_holders()}. "
                "Stop what holds it, or lower `resources.gpus`."
            )
        time.sleep(POLL_S)


def wait_to_be_alone(wait_s: float) -> None:
    """Wait until no other process computes on this process's GPU.

    Before it has touched the GPU itself. Where the driver names nobody, as for a part
    of a GPU, there is nothing to wait for.

    Raises:
        GpuBusyError: If another one is there for so many seconds; it names them.
    """
    end = time.monotonic() + wait_s
    while others := _processes():
        if time.monotonic() > end:
            raise GpuBusyError(
                "A GPU must be free to measure what a trial takes of it, but after "
                f"{wait_s:.0f} s {_shown(others)}. Stop that, or set `resources.gpus` "
                "to a number."
            )
        time.sleep(POLL_S)


def _processes() -> list[tuple[float, str]]:
    """Megabytes and number of the processes on the GPU; none if nobody tells.

    Without the server through which others share it, which computes nothing.
    """
    with contextlib.suppress(Exception):  # NVML's, which answers for itself
        return [one for one in _listed() if "(nvidia-cuda-mps" not in _command(one[1])]
    return []


def _left() -> int:
    """Bytes that are free, and what this process has taken already."""
    try:
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    except RuntimeError as err:
        if is_out_of_memory(err):  # not even for this process to be there
            return 0
        raise


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _holders() -> str:
    """The processes on the GPU, the largest first."""
    try:
        return _shown(_listed()) or "no process says that it has the rest"
    except Exception as err:  # NVML's, which answers for itself in a container
        return f"what holds the rest is not known ({err})"


def _listed() -> list[tuple[float, str]]:
    """As `_processes`, or whatever the driver raises."""
    listed = torch.cuda.list_gpu_processes(0)  # by its number: no context is made
    found = re.findall(r"process\s+(\d+) uses\s+([\d.]+) MB", listed)
    return sorted(((float(mb), pid) for pid, mb in found), reverse=True)


def _shown(named: list[tuple[float, str]]) -> str:
    return ", ".join(
        f"process {pid}{_command(pid)} has {mb / 1e3:.1f} GB" for mb, pid in named
    )


def _command(pid: str) -> str:
    with contextlib.suppress(OSError):
        return f" ({Path('/proc', pid, 'comm').read_text().strip()})"
    return ""


@contextlib.contextmanager
def busy_share(found: list[float], every_s: float = 0.1) -> Iterator[None]:
    """Sample the share of time in which the GPU computes, while a block runs.

    Args:
        found: Gets the samples, in [0, 1]; none where the driver does not tell, as of
            a part of a GPU.
        every_s: Seconds between two.
    """
    done = threading.Event()

    def sample() -> None:
        with contextlib.suppress(Exception):  # NVML's, without a common base here
            while not done.wait(every_s):
                found.append(torch.cuda.utilization() / 100)

    thread = threading.Thread(target=sample, name="gpu-utilization", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def is_out_of_memory(err: Exception) -> bool:
    """Whether an error says that memory, of a GPU or of the host, ran out.

    Example:
        >>> is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
        True
        >>> is_out_of_memory(RuntimeError("shape mismatch"))
        False
    """
    if isinstance(err, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = ["out of memory", "can't allocate memory", "not enough memory"]
    words += ["ALLOC_FAILED"]  # of cuBLAS and cuDNN
    return isinstance(err, RuntimeError) and any(word in str(err) for word in words)


def is_broken() -> bool:
    """Whether this process can compute no more on its GPU, whatever it is asked.

    After an illegal access, a failed launch, or a fault of the hardware every later
    call fails as well: only another process helps.

    Example:
        >>> is_broken()
        False
    """
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError as err:
        return not is_out_of_memory(err)
    return False
