"""What the nodes of a cluster must have. Sent to them, so it imports nothing heavy."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orthotune.config.plugins import Shipment


@dataclass(frozen=True, kw_only=True)
class NodeRequirements:
    """What a node of the cluster must have: versions, storage, data, GPUs.

    Args:
        versions: Of Python, orthotune, Ray and torch, as the driver has them.
        storage: The study's storage.
        probes: A folder in it.
        mark: What the driver has written there, in the file `driver`.
        data: Fields of a trial that name each data set, and its fingerprint.
        gpus: Whether trials want any.
        plugins: What others have registered.
    """

    versions: Mapping[str, str]
    storage: str
    probes: str
    mark: str
    data: Sequence[tuple[Mapping[str, Any], str]]
    gpus: bool
    plugins: Shipment | None = None


@dataclass(frozen=True, kw_only=True)
class CheckedNodes:
    """The nodes that were checked before trials began.

    Args:
        nodes: The ids of the nodes that are fit.
        expected: What the others are asked.
    """

    nodes: Collection[str]
    expected: NodeRequirements
