"""A run in MLflow as its writer knows it, and values in MLflow's own terms.

Imported before MLflow is, which reads a few of its settings only then.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

# Before MLflow is imported: our writer retries by itself. A client that does so too
# would wait for minutes at every call to a dead server, and could make a run twice.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# And it would print the address of every run that ends, through the progress line.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # Alembic's as well
# What somebody trains is nobody else's business; nor is Ray told to report it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from orthotune.record.trial_record import Status, TrialRecord

# MLflow takes a second to import: what writes does so, while Ray starts.
if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, Run, RunTag

MAX_PARAM_NAME = 250  # MLflow's limit; the study's file has what is longer
SEEN = "diverged"  # the metric whose steps say which epochs a run has

COMPUTED_BY_TAG = "orthotune.computed_by"
AUDIT = "audit/"
"""How the metrics begin that a trial reported after it was condemned to stop."""

MIXED_CODE = "orthotune.mixed_code"
"""Tag of a study that was continued with other code: nobody knows what gave what."""

INCOMPLETE = "orthotune.incomplete"
"""Tag of a study whose reports are not all there yet."""

RUN_STATUS = {
    Status.WAITING: "RUNNING",
    Status.RUNNING: "RUNNING",
    Status.FINISHED: "FINISHED",
    Status.STOPPED: "FINISHED",  # KILLED is what a person or a crash has ended
    Status.INTERRUPTED: "KILLED",
    Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
    Status.OOM: "FAILED",
}


@dataclass(kw_only=True)
class TrackedRun:
    """The state of a run in MLflow, as the writer thread knows it."""

    run_id: str
    """MLflow's."""
    number: int | None = None
    """Its trial's; None for the parent's and a group's."""
    group: str | None = None
    """Its name, of a group's run."""
    attempt: int = 0
    """Its trial's."""
    status: str = "RUNNING"
    shown: str = str(Status.RUNNING)
    """The status of its trial, as its tag says."""
    ended_ms: int | None = None
    has_params: bool = False
    incomplete: bool = False
    """Whether files are missing of a run that has ended."""
    epochs: set[int] | None = field(default_factory=set)
    """The epochs logged; None for a run of an earlier session, not looked at yet."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The latest of each, in the parent of an earlier session."""

    def shows(self, record: TrialRecord, status: Status) -> bool:
        """Whether it says how its trial stands.

        By the time as well: two statuses look the same to MLflow, and a trial can end,
        be reopened and end alike.
        """
        if self.status != RUN_STATUS[status] or self.shown != status:
            return False
        return not status.ended or self.ended_ms == record.ended_ms


def existing_run(run: "Run") -> TrackedRun:
    """The state of an existing run, without the run: a study can have thousands."""
    tags, kind = run.data.tags, run.data.tags["orthotune.kind"]
    is_trial = kind == "trial"
    running = run.info.status == "RUNNING"
    return TrackedRun(
        run_id=run.info.run_id,
        number=int(tags["orthotune.trial"]) if is_trial else None,
        group=tags["orthotune.group"] if kind == "group" else None,
        attempt=int(tags.get("orthotune.attempt", -1)),
        status=run.info.status,
        shown=tags.get("orthotune.status", ""),
        ended_ms=run.info.end_time,
        metrics={} if is_trial else run.data.metrics,
        incomplete=INCOMPLETE in tags,
        has_params=bool(run.data.params) and not (is_trial and running),
        epochs=None,
    )


def status_tags(record: TrialRecord, status: Status) -> dict[str, str]:
    """How a trial ended, for MLflow's filters."""
    tags = {"orthotune.status": str(status)}
    if record.computed_by:
        tags[COMPUTED_BY_TAG] = ", ".join(record.computed_by)
    if record.audit is not None:
        tags["orthotune.condemned"] = f"in epoch {record.epoch}, and audited"
    if status == Status.DIVERGED:
        tags["diverged"] = f"in epoch {record.epoch}"
    if status == Status.OOM:
        tags["oom"] = "1"
    if record.error is not None:
        tags["error"] = record.error[:5000]
    return tags


def metric_entity(name: str, value: float, at_ms: int, step: int) -> "Metric":
    """A value at a step, in milliseconds since 1970."""
    from mlflow.entities import Metric

    return Metric(name, value, at_ms, step)


def param_entities(values: Mapping[str, object]) -> "list[Param]":
    """As MLflow takes them: what it refuses in a name or a value is replaced or cut."""
    from mlflow.entities import Param

    return [
        Param(re.sub(r"[^\w./: -]", ":", name), str(value)[:6000])
        for name, value in values.items()
        if len(name) <= MAX_PARAM_NAME
    ]


def tag_entities(tags: Mapping[str, str]) -> "list[RunTag]":
    """Tags of a run, as MLflow takes them."""
    from mlflow.entities import RunTag

    return [RunTag(name, value) for name, value in tags.items()]
