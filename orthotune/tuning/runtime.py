"""The Ray a study runs on: a cluster that is there, or one of its own."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from orthotune.errors import StudyError
from orthotune.tuning.settings import Study


@contextmanager
def ray_runtime(study: Study, address: str | None) -> Iterator[int | None]:
    """A Ray runtime: the cluster at `address`, or one of our own on this machine.

    Gives the number of trials there is room for; None where that may change.
    """
    if ray.is_initialized():  # the user's own, in a notebook: left as it is
        _check_resources(study)
        yield None
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if address is not None:
        _check_address(address)
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, ValueError, RuntimeError) as err:
        raise StudyError(
            f"--address must be a Ray cluster that answers, but got {address!r} "
            f"({str(err).splitlines()[0]}). Start one with: ray start --head"
        ) from err
    try:
        if address is None:
            _check_resources(study)
        yield _slots(study) if address is None else None
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse what is no cluster within seconds; Ray itself tries for minutes."""
    if address in ("auto", "local"):
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdigit():
        raise StudyError(
            f"--address must be HOST:PORT or auto, but got {address!r}. "
            "(Ray Client, ray://, cannot run a study: use `ray job submit`.)"
        )
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as err:
        raise StudyError(
            f"--address must be a Ray cluster that answers, but got {address!r} "
            f"({err}). Start one with: ray start --head"
        ) from err


def _check_resources(study: Study) -> None:
    """Refuse a trial that this machine can never hold: it would wait for ever."""
    here = ray.cluster_resources()
    resources = study.settings.resources
    for name, asked in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        if asked > here.get(name, 0):
            raise StudyError(
                f"`resources.{name.lower()}s` must be at most what this machine has, "
                f"{here.get(name, 0):g}, but got {asked:g}. Lower it (--set "
                f"resources.{name.lower()}s=...), or give the --address of a cluster."
            )


def _slots(study: Study) -> int:
    """How many trials this machine holds at once."""
    here = ray.cluster_resources()
    cpus, gpus = study.settings.resources.cpus, study.settings.resources.gpus
    slots = int(here["CPU"] // cpus)
    if gpus:
        # Ray does not put one trial on parts of two GPUs.
        per_gpu = int(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus
        slots = min(slots, int(here["GPU"] * per_gpu))
    return slots


def check_shared(tracking_uri: str) -> None:
    """Refuse a SQLite file where the next session may run on another node.

    Raises:
        StudyError: If the cluster has several nodes and the store is a file.
    """
    nodes = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if tracking_uri.startswith("sqlite:") and len(nodes) > 1:
        raise StudyError(
            "--tracking-uri must be a server on a cluster of several nodes "
            f"({len(nodes)} here), but got {tracking_uri}, a file of this one. Start "
            "one with: mlflow server --backend-store-uri sqlite:///mlflow.db"
        )
