"""The Ray that a study runs on: an existing cluster, or a local one of its own."""

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
from ray._private import utils as ray_utils

from orthotune.cluster.gpu_sharing import slots_of
from orthotune.cluster.nodes import alive_nodes
from orthotune.cluster.ray_health import RayHealth
from orthotune.console import note
from orthotune.errors import RayLostError, StudyError
from orthotune.record.study_definition import Study
from orthotune.storage.redaction import last_line
from orthotune.storage.scratch import scratch_folder

OTHER_VERSION = "Version mismatch"  # in what Ray says of a cluster
TOO_SLOW = "timed out during startup"  # in what Ray says of a node of our own

FOR_THE_DRIVER = (signal.SIGTERM, signal.SIGHUP)
"""Signals that the Ray of our own shall survive, as Ray itself sees to for Ctrl-C.

`timeout`, Slurm and systemd send SIGTERM to every process, a terminal that is closed
SIGHUP: the driver ends its trials in order then, for which it needs its Ray.
"""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A Ray that this process is connected to.

    Args:
        may_grow: Whether nodes may join it, and leave.
        health: Whether it is still there.
    """

    may_grow: bool
    health: RayHealth


@contextmanager
def ray_runtime(study: Study, address: str | None) -> Iterator[Runtime]:
    """A Ray runtime: the cluster at `address`, or one of our own on this machine.

    One that is lost is left as it is, since it cannot be asked to end.
    """
    if ray.is_initialized():  # the user's own, in a notebook: left as it is
        _check_resources(study)
        yield Runtime(may_grow=True, health=RayHealth(own=False))
        return
    address = _resolved(address)
    if address is not None:
        _check_address(address)
    before = _children()
    try:
        _init(address)
    except KeyboardInterrupt:
        # Ray cannot be asked to end before it has come up: it may wait for ever.
        _kill_families(_children() - before)
        raise
    except Exception as err:  # Ray raises that itself, beside OSErrors and others
        if OTHER_VERSION in str(err):
            pairs = re.findall(r"(Ray|Python): (\S+)", str(err))
            found = [f"{name} {version}" for name, version in pairs]
            raise StudyError(
                "--address must be a cluster with the driver's versions, but "
                f"{address!r} has {', '.join(found[:2])}, and the driver "
                f"{', '.join(found[2:])}. Install the same on both."
            ) from err
        if address is None:
            raise StudyError(
                f"Ray must start on this machine, but does not: {last_line(err)}. Free "
                "what it lacks, or give the --address of a cluster."
            ) from err
        raise _silent(address, last_line(err)) from err
    servers, lost = _children() - before, False
    try:
        if address is None:
            _check_resources(study)
        health = RayHealth(own=address is None)
        yield Runtime(may_grow=address is not None, health=health)
    except RayLostError:
        lost = True
        raise
    finally:
        if lost:
            _kill(servers)
        else:
            _shut_down(servers)


def _init(address: str | None, attempts: int = 2) -> None:
    """Connect to a cluster, or start our own; a loaded machine may need a second try.

    Ray gives its own node half a minute to start, which nothing can prolong, and then
    forgets it: what it has started would run beside the second.
    """
    before = _children()
    note(
        "starting Ray ..." if address is None else f"connecting to Ray ({address}) ..."
    )
    try:
        with _deaf_children(), _handlers_kept():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                _temp_dir=None if address else str(scratch_folder() / "ray"),
            )
    except Exception as err:
        if address or attempts == 1 or TOO_SLOW not in str(err):
            raise
        _kill(_children() - before)
        _init(address, attempts - 1)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Block `FOR_THE_DRIVER` in processes that this thread starts, not in this one.

    They inherit what the thread blocks. Another thread takes the signals meanwhile:
    Python handles them in the main thread all the same.
    """
    over = threading.Event()
    threading.Thread(target=over.wait, daemon=True).start()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_DRIVER)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        over.set()


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep Ray from handling SIGTERM: its way is `sys.exit`, wherever we are.

    Its part in C++ has another handler, put in below Python's, which aborts the process
    some seconds later: ours is put back once it is in.
    """
    whole = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda _handler: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = whole
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _shut_down(servers: Collection[int]) -> None:
    """Disconnect from Ray, and end our own.

    Ray would wait a second for each process, which cannot hear that it shall end.
    """
    over = threading.Event()
    killer = threading.Thread(target=_kill_told, args=(servers, over), daemon=True)
    killer.start()
    try:
        ray.shutdown()
    finally:
        over.set()
        killer.join()


def _kill_told(pids: Collection[int], over: threading.Event) -> None:
    """Kill processes once they were sent a SIGTERM that they block."""
    while not over.wait(0.02):
        _kill([pid for pid in pids if _is_told(pid)])


def _is_told(pid: int) -> bool:
    """Whether a SIGTERM waits for a process; False where the system does not say."""
    with contextlib.suppress(OSError):
        found = re.search(r"ShdPnd:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
        return bool(found and int(found[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _kill_families(pids: Collection[int]) -> None:
    """Kill processes with all that they have started, before they can start more."""
    every: set[int] = set()
    found = set(pids)
    while found:
        _send(signal.SIGSTOP, found)
        every |= found
        found = set().union(*map(_children, found)) - every
    _kill(every)


def _kill(pids: Collection[int]) -> None:
    _send(signal.SIGKILL, pids)


def _send(number: signal.Signals, pids: Collection[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(pid: int | str = "self") -> set[int]:
    """The processes that one has started; none where the system does not say."""
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # of a thread that has ended meanwhile
            found |= set(map(int, children.read_text().split()))
    return found


def _resolved(address: str | None) -> str | None:
    """The address that Ray would take; None for a runtime of our own."""
    named = os.environ.get("RAY_ADDRESS")
    if not address or address == "auto":
        address = named or address
    return None if address in ("", "local") else address


def _check_address(address: str) -> None:
    """Refuse what is no cluster within seconds; Ray itself tries for minutes."""
    if address == "auto":  # where that is, Ray alone knows
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdecimal():
        raise StudyError(
            f"--address must be HOST:PORT or auto, but got {address!r}. "
            "(Ray Client, ray://, cannot run a study: use `ray job submit`.)"
        )
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError, ValueError) as err:  # of a name: UnicodeError
        raise _silent(address, last_line(err)) from err


def _silent(address: str, why: str) -> StudyError:
    return StudyError(
        f"--address must be a Ray cluster that answers, but got {address!r} "
        f"({why}). Start one with: ray start --head"
    )


def _check_resources(study: Study) -> None:
    """Refuse a trial that this machine can never hold: it would wait for ever."""
    here = ray.cluster_resources()
    resources = study.settings.resources
    gpus = 0 if isinstance(resources.gpus, str) else resources.gpus
    for name, asked in (("CPU", resources.cpus), ("GPU", gpus)):
        if asked > here.get(name, 0):
            raise StudyError(
                f"`resources.{name.lower()}s` must be at most what this machine has, "
                f"{here.get(name, 0):g}, but got {asked:g}. Lower it (--set "
                f"resources.{name.lower()}s=...), or give the --address of a cluster."
            )


def slots(cpus: int, gpus: float) -> int:
    """How many trials the nodes hold at once, as they are now.

    Args:
        cpus: CPU cores of one.
        gpus: GPUs of one.
    """
    return sum(slots_of(node["Resources"], cpus, gpus) for node in alive_nodes())


def check_shared(tracking_uri: str) -> None:
    """Refuse a SQLite file where the next session may run on another node.

    Raises:
        StudyError: If the cluster has several nodes and the store is a file.
    """
    nodes = {node["NodeManagerAddress"] for node in alive_nodes()}
    if tracking_uri.startswith("sqlite:") and len(nodes) > 1:
        raise StudyError(
            "--tracking-uri must be a server on a cluster of several nodes "
            f"({len(nodes)} here), but got {tracking_uri}, a file of this one. Start "
            "one with: mlflow server --backend-store-uri sqlite:///mlflow.db"
        )
