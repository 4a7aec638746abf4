"""The nodes of a Ray cluster, and tasks on one of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def alive_nodes() -> list[dict[str, Any]]:
    """The nodes of the cluster this process is connected to, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def name_of_node(node: Mapping[str, Any]) -> str:
    """What to call a node: its address, and which of several there."""
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})"


def gpus_of(node: Mapping[str, Any]) -> float:
    """The GPUs that Ray promises on a node."""
    return node["Resources"].get("GPU", 0)


def only_on(node: Mapping[str, Any]) -> NodeAffinitySchedulingStrategy:
    """A scheduling strategy that runs a task on one node."""
    return NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)


def as_started(path: str) -> str:
    """A relative path, made absolute in the folder that this worker was started in.

    Ray moves a worker into a folder of its own for every trial. A relative path is one
    of the driver's folder, or of that in which a node was started.
    """
    started = os.environ.get("TUNE_ORIG_WORKING_DIR", "")
    return str(Path(started, os.path.expanduser(path)))
