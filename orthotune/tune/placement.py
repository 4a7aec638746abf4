"""The resources that Ray reserves for a trial."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ray.tune import PlacementGroupFactory

from orthotune.cluster.gpu_sharing import GpuShares
from orthotune.tune.assignment import STUDY


def placements(
    cpus: int, shares: GpuShares
) -> PlacementGroupFactory | Callable[[dict], PlacementGroupFactory]:
    """For all trials alike, or for each by its shape where that was measured.

    Args:
        cpus: CPU cores of a trial.
        shares: What trials get of GPUs.
    """
    if shares.measured:
        return partial(_by_config, cpus)
    # Nothing of ours travels with it.
    return _placement(cpus, shares.default)


def _by_config(cpus: int, config: Mapping[str, Any]) -> PlacementGroupFactory:
    return _placement(cpus, config[STUDY]["gpus"])


def _placement(cpus: int, gpus: float) -> PlacementGroupFactory:
    return PlacementGroupFactory([{"CPU": cpus} | ({"GPU": gpus} if gpus else {})])
