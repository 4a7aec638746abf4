"""The protocol between driver and workers: keys of configs and of results."""

from collections.abc import Mapping
from typing import Any

from ray.tune.experiment import Trial

from orthotune.cluster.node_requirements import CheckedNodes
from orthotune.config.plugins import Shipment
from orthotune.record.checkpoints import CheckpointFolder
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.storage.lease import Holder

STUDY = "study"
"""The key under which a trial of a study is told what it is; no field of a config."""

ERROR = "error"
OUT_OF_MEMORY = "oom"
"""Keys of a result that ends a trial without an epoch: the traceback."""

UNSAVED = "checkpoint_error"
"""Key of a result whose checkpoint could not be read or written: where and why."""

UNFIT = "node_error"
"""Key of a result of a node that is not fit: what must hold there."""

CHANGED_FIELDS = "lived"
"""Key of a result: the fields that have changed since the trial was suggested: those
that a population changes, or the parts of a batch that did not fit into memory."""


def assignment(
    folder: CheckpointFolder,
    record: TrialRecord,
    *,
    gpus: float = 0.0,
    gpu_bytes: int | None = None,
    checked_nodes: CheckedNodes | None = None,
    holder: Holder | None = None,
    member: bool = False,
    profiled: bool = False,
    signals: bool = False,
    plugins: Shipment | None = None,
) -> dict[str, Any]:
    """The entry `STUDY` of a trial's config.

    Args:
        folder: Where its checkpoint is.
        record: The trial, as far as it has come in earlier sessions.
        gpus: Its share of GPUs.
        gpu_bytes: The memory its tensors take on a GPU; None if that is not known.
        checked_nodes: Which nodes are known to be fit for the study, and what the
            others are asked; None on one machine.
        holder: Which driver it works for, where another may take over its study.
        member: Whether it is one of a population.
        profiled: Whether it is looked at layer by layer: before its first epoch, in the
            middle and at the end.
        signals: Whether it reports the `SIGNALS` after its first epoch.
        plugins: What others have registered, for workers that do not know it.
    """
    return {
        "name": record.name,
        "folder": folder.uri,
        "fields": record.trained,
        "reported": record.trained_epochs,
        "parted": record.parted,
        "gpus": gpus,
        "gpu_bytes": gpu_bytes,
        "checked_nodes": checked_nodes,
        "holder": holder,
        "member": member,
        "profiled": profiled,
        "signals": signals,
        "plugins": plugins,
    }


def name_of(trial: Trial) -> str:
    """The name that Ray gives to a new trial."""
    return trial.config[STUDY]["name"]


def number_of(trial: Trial) -> int:
    """The number of a trial in its study."""
    return int(str(trial).split("-")[1])


def ended_as(journal: Journal, number: int, result: Mapping[str, Any]) -> Status:
    """The status of an ended trial, by its last result and its epochs."""
    if ERROR in result:
        return Status.FAILED
    if OUT_OF_MEMORY in result:
        return Status.OOM
    return journal.natural_end(number)
