"""Measures memory and load of trials on each kind of GPU (see `gpu_sharing`)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray

from orthotune.cluster.gpu_sharing import (
    FootprintCache,
    GpuShares,
    as_said,
    cached_shares,
    is_auto,
    least_share,
    not_measured,
)
from orthotune.cluster.nodes import alive_nodes, gpus_of, name_of_node, only_on
from orthotune.cluster.runtime import slots
from orthotune.config.plugins import Shipment, shipment, take
from orthotune.config.trial import TrialConfig
from orthotune.console import note
from orthotune.errors import StudyError
from orthotune.record.study_definition import Study
from orthotune.storage.redaction import last_line
from orthotune.storage.scratch import scratch_folder
from orthotune.text import counted, duration
from orthotune.training.footprint import Footprint, measure, shape_of
from orthotune.training.gpu import gpu_names
from orthotune.training.progress import ProgressLine

GPU_WAIT_S = 600
"""For a cluster that starts its nodes when they are asked for."""

MEASURING_S = 600
"""For one shape on one kind of GPU; most of it would be a compilation."""

Nodes = Sequence[Mapping[str, Any]]
Missing = list[tuple[str, TrialConfig]]


def shares_on_cluster(study: Study, storage: str, *, may_grow: bool) -> GpuShares:
    """What each trial gets of a GPU of the cluster this process is connected to.

    Args:
        study: The study.
        storage: Folder or URI in which what was measured before is looked up.
        may_grow: Whether nodes may join. A machine without a GPU computes on its CPU;
            a cluster without one is asked for one, and waited for.

    Raises:
        StudyError: If no GPU comes, or one cannot be used.
    """
    if not is_auto(study):
        return as_said(study.settings.resources)
    cpus = study.settings.resources.cpus
    nodes = _gpu_nodes(cpus)
    if not nodes and not may_grow:
        return GpuShares(default=0.0)
    if not nodes:
        _await_gpu(cpus)
        nodes = _gpu_nodes(cpus)
    kinds = _kinds(nodes)
    shares, missing = cached_shares(study, list(kinds), FootprintCache(storage))
    shares = shares.completed(_measured(missing, kinds) if missing else [])
    num_gpus, num_slots = sum(map(gpus_of, nodes)), slots(cpus, 0)
    shares = replace(shares, least=least_share(study, num_gpus, num_slots))
    for line in shares.lines():
        note(line)
    return shares


def _gpu_nodes(cpus: int) -> Nodes:
    """The nodes with GPUs on which trials of so many CPU cores can run."""
    return [
        node
        for node in alive_nodes()
        if gpus_of(node) and node["Resources"].get("CPU", 0) >= cpus
    ]


def _kinds(nodes: Nodes) -> dict[str, Mapping[str, Any]]:
    """A node of each kind of GPU.

    Raises:
        StudyError: If torch sees none: trials would silently train on the CPU.
    """
    task = ray.remote(gpu_names)
    asked = [
        task.options(num_cpus=0, scheduling_strategy=only_on(node)).remote()
        for node in nodes
    ]
    kinds: dict[str, Mapping[str, Any]] = {}
    for node, ref in zip(nodes, asked, strict=True):
        try:
            for name in ray.get(ref, timeout=MEASURING_S):
                kinds.setdefault(name, node)
        except Exception as err:  # Ray's own, of many kinds; the node may be gone
            note(
                f"warning: {name_of_node(node)} does not say which GPUs it has "
                f"({last_line(err)})."
            )
    if not kinds:
        raise StudyError(
            f"torch must see the {sum(map(gpus_of, nodes)):g} GPUs that Ray sees, but "
            "sees none. Install a torch and a driver that fit each other, or set "
            "`resources.gpus` to 0."
        )
    return kinds


def _await_gpu(cpus: int) -> None:
    """Ask the cluster for a GPU, so that its autoscaler starts a node with one."""
    note(
        "`resources.gpus` is auto, and no node has a GPU and "
        f"{counted(cpus, 'CPU core')}; waiting up to {duration(GPU_WAIT_S)} for one "
        "(for none: --set resources.gpus=0)."
    )
    asked = ray.remote(num_gpus=1, num_cpus=cpus)(gpu_names).remote()
    done, _ = ray.wait([asked], timeout=GPU_WAIT_S)
    if not done:
        ray.cancel(asked, force=True)
        raise StudyError(
            "`resources.gpus` must be a number where no node has a GPU and "
            f"{counted(cpus, 'CPU core')} for a trial, but is auto, and none has come "
            f"in {duration(GPU_WAIT_S)}. Set it to 0, lower `resources.cpus`, or start "
            "a node with both."
        )


def _measure(sent: Shipment | None, fields: Mapping[str, Any]) -> Footprint:
    """As `measure`, where the driver's plug-ins may be unknown."""
    take(sent, scratch_folder())
    return measure(fields)


def _measured(
    missing: Missing, kinds: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str, Footprint]]:
    """What is missing, measured on a node of each kind; shape after shape on each."""
    task = ray.remote(num_gpus=1, num_cpus=0, max_calls=1)(_measure)
    sent = shipment()
    left = {
        task.options(scheduling_strategy=only_on(kinds[kind])).remote(
            sent, config.to_dict()
        ): (kind, shape_of(config))
        for kind, config in missing
    }
    found, start, progress = [], time.monotonic(), ProgressLine()
    progress.show(f"measuring {len(left)} shapes of networks on their GPUs")
    try:
        while left:
            done, _ = ray.wait(list(left), timeout=MEASURING_S)
            if not done:
                raise TimeoutError(
                    f"no answer in {duration(MEASURING_S)} (are all GPUs taken?)"
                )
            kind, shape = left.pop(done[0])
            found.append((kind, shape, ray.get(done[0])))
            each_s = (time.monotonic() - start) / len(found)
            progress.show(
                f"measured {len(found)} of {len(missing)} shapes, "
                f"{duration(each_s * len(left))} left",
                final=not left,
            )
        return found
    except Exception as err:  # Ray's own, of many kinds
        raise not_measured(err) from err
    finally:
        progress.close()
        for ref in left:
            ray.cancel(ref, force=True)
