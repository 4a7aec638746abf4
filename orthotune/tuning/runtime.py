"""The Ray a study runs on: a cluster that is there, or one of its own."""

import contextlib
import logging
import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray

from orthotune.errors import StudyError
from orthotune.tuning.nodes import alive_nodes
from orthotune.tuning.secrets import last_line
from orthotune.tuning.settings import Study

OTHER_VERSION = "Version mismatch"  # in what Ray says of a cluster
TOO_SLOW = "timed out during startup"  # in what Ray says of a node of our own


@contextmanager
def ray_runtime(study: Study, address: str | None) -> Iterator[bool]:
    """A Ray runtime: the cluster at `address`, or one of our own on this machine.

    Gives whether nodes may join it, and leave.
    """
    if ray.is_initialized():  # the user's own, in a notebook: left as it is
        _check_resources(study)
        yield True
        return
    address = _resolved(address)
    if address is not None:
        _check_address(address)
    try:
        _init(address)
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
    try:
        if address is None:
            _check_resources(study)
        yield address is not None
    finally:
        ray.shutdown()


def _init(address: str | None, attempts: int = 2) -> None:
    """Connect to a cluster, or start our own; a loaded machine may need a second try.

    Ray gives its own node half a minute to start, which nothing can prolong, and then
    forgets it: what it has started would run beside the second.
    """
    before = _children()
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except Exception as err:
        if address or attempts == 1 or TOO_SLOW not in str(err):
            raise
        for pid in _children() - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _init(address, attempts - 1)


def _children() -> set[int]:
    """The processes that this one has started; none where the system does not say."""
    found: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
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
    return sum(_slots_of(node["Resources"], cpus, gpus) for node in alive_nodes())


def _slots_of(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    most = int(node.get("CPU", 0) // cpus)
    if gpus:
        # Ray does not put one trial on parts of two GPUs.
        per_gpu = int(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus
        most = min(most, int(node.get("GPU", 0) * per_gpu))
    return most


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
