"""The resources of a study on its cluster: fit nodes, and shares of GPUs."""

import time
from dataclasses import dataclass

from orthotune.cluster.gpu_measurement import shares_on_cluster
from orthotune.cluster.gpu_sharing import GpuShares
from orthotune.cluster.node_checks import refuse, table
from orthotune.cluster.node_requirements import CheckedNodes
from orthotune.cluster.nodes import alive_nodes
from orthotune.cluster.preflight import preflight, requirements_of
from orthotune.cluster.runtime import slots
from orthotune.console import note
from orthotune.record.identity import Fingerprints
from orthotune.record.study_definition import Study
from orthotune.text import counted

COUNT_EVERY_S = 2.0


@dataclass(kw_only=True)
class ResourceAllocation:
    """The resources that trials get.

    Args:
        shares: Of GPUs, by trial.
        cpus: CPU cores of a trial.
        may_grow: Whether nodes may join and leave.
        checked_nodes: What was found of the nodes, on a cluster.
    """

    shares: GpuShares
    cpus: int
    may_grow: bool
    checked_nodes: CheckedNodes | None = None

    def __post_init__(self) -> None:
        # Counted by the thread that gives trials to Ray: others must not ask it.
        self._counted_at, self._slots = float("-inf"), 0

    def limit(self) -> int:
        """How many trials may be under way: as many as run, and on a cluster some more.

        One that waits is what an autoscaler starts a node for; but it knows less of the
        results of the others. So a cluster can grow by a quarter at a time.
        """
        if time.monotonic() - self._counted_at > COUNT_EVERY_S:
            self._slots = slots(self.cpus, self.shares.smallest)
            self._counted_at = time.monotonic()
        if not self.may_grow:
            return self.slots
        return self._slots + self._slots // 4 + 1

    @property
    def slots(self) -> int:
        """How many trials run at once, as `limit` has counted last; at least 1."""
        return max(1, self._slots)

    def tags(self) -> dict[str, str]:
        """Tags for MLflow: the measurements behind shares of GPUs, if there are any."""
        lines = self.shares.lines()
        return {"orthotune.gpus": "\n".join(lines)} if lines else {}


NO_RESOURCES = ResourceAllocation(shares=GpuShares(default=0.0), cpus=1, may_grow=False)
"""Of a study in which nothing is left to run."""


def allocate_resources(
    study: Study, storage: str, fingerprints: Fingerprints, *, may_grow: bool
) -> ResourceAllocation:
    """Look at the cluster this process is connected to, and say what was found.

    Args:
        study: What is to run.
        storage: Folder or URI under which it keeps its files.
        fingerprints: Of every data set it names.
        may_grow: Whether nodes may join it: then they are other machines.

    Raises:
        StudyError: If the study would fail there later.
    """
    checked_nodes = None
    if may_grow:
        nodes = alive_nodes()
        checks = preflight(study, storage, fingerprints, nodes)
        note(f"the nodes of the cluster:\n{table(checks)}")
        refuse(checks)
        checked_nodes = CheckedNodes(
            nodes=frozenset(node["NodeID"] for node in nodes),
            expected=requirements_of(study, storage, fingerprints),
        )
    allocation = ResourceAllocation(
        shares=shares_on_cluster(study, storage, may_grow=may_grow),
        cpus=study.settings.resources.cpus,
        may_grow=may_grow,
        checked_nodes=checked_nodes,
    )
    if may_grow and not slots(allocation.cpus, allocation.shares.smallest):
        gpus = (
            f" and {allocation.shares.smallest:g} GPUs"
            if allocation.shares.smallest
            else ""
        )
        note(
            f"no node can hold a trial: it needs {counted(allocation.cpus, 'CPU core')}"
            f"{gpus}. Trials wait until one joins."
        )
    return allocation
