"""What the nodes of a cluster must have. Sent to them, so it imports nothing heavy."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orthotune.config.sections import DataConfig


@dataclass(frozen=True, kw_only=True)
class NodeRequirements:
    """What a node of the cluster must have: versions, storage, data, GPUs.

    Args:
        versions: Of Python, orthotune, Ray and torch, as the driver has them.
        storage: The study's storage.
        probes: A folder in it.
        mark: What the driver has written there, in the file `driver`.
        data: The data sets and their fingerprints.
        gpus: Whether trials want any.
    """

    versions: Mapping[str, str]
    storage: str
    probes: str
    mark: str
    data: Mapping[DataConfig, str]
    gpus: bool


@dataclass(frozen=True, kw_only=True)
class CheckedNodes:
    """The nodes that were checked before trials began.

    Args:
        nodes: The ids of the nodes that are fit.
        expected: What the others are asked.
    """

    nodes: Collection[str]
    expected: NodeRequirements
