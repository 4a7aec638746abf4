"""One trial of a study: its configuration, its metrics, its status."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orthotune.record.history import Profile

SETTING = "hp/"
"""How the metrics begin that say what a setting was which may change in training."""

PARTS = "data.num_micro_batches"
"""The field that is doubled when a trial does not fit into memory."""


class Status(StrEnum):
    """The status of a trial."""

    WAITING = "waiting"
    """Suggested, not started yet."""
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """Was running when a session ended; the next one continues it."""
    FINISHED = "finished"
    """Ran its full budget."""
    STOPPED = "stopped"
    """Ended early by the scheduler."""
    DIVERGED = "diverged"
    """Ended by a non-finite loss or weight: a result."""
    OOM = "oom"
    """Did not fit into memory, with half the micro-batch either: a result."""
    FAILED = "failed"
    """Ended by an exception, or by workers that kept dying."""

    @property
    def ended(self) -> bool:
        """Whether nothing is left to run."""
        return self not in (Status.WAITING, Status.RUNNING, Status.INTERRUPTED)


WITHOUT_VALUE = (Status.DIVERGED, Status.OOM, Status.FAILED)
"""Of trials that ended so no value can be compared with others'."""


@dataclass(kw_only=True)
class TrialRecord:
    """One trial: what it was given, what it reported, how it ended.

    Args:
        number: Counted from 0 in the order of their suggestions.
        key: The hash of what its result depends on.
        fields: Its configuration by dotted name, as suggested.
        history: Its metrics by epoch.
        reported_ms: When each epoch was reported, since 1970.
        status: How it stands.
        error: The last line of the exception, if it failed.
        started_ms: When it first started, since 1970.
        ended_ms: When it ended, or was last interrupted.
        attempt: How often it was run again from its start after an error.
        changed_fields: What has changed of `fields` since it was suggested: by
            population-based training, with the schedule of the changes (`changes.*`),
            or for lack of memory. In the record this is the event `lived`.
        validates: The number of the trial whose configuration it trains from scratch
            with another seed, if it does.
        group: What it is a replicate of, if it was listed as one.
        label: What it is called among those of its group.
        reused: The study and MLflow run its result was taken from, if it was.
        profiles: Its networks layer by layer, by epoch, if they were looked at.
        computed_by: The GPUs or CPUs; several if it went on elsewhere.
        audit: Its metrics by epoch after it was condemned to stop, if it went on for
            the audit of stopping; None if not. To all else its `history` ends where
            it was condemned.
    """

    number: int
    key: str = ""
    fields: dict[str, Any]
    history: Mapping[int, dict[str, float]] = field(default_factory=dict)
    reported_ms: Mapping[int, int] = field(default_factory=dict)
    status: Status = Status.WAITING
    error: str | None = None
    started_ms: int = 0
    ended_ms: int | None = None
    attempt: int = 0
    changed_fields: dict[str, Any] = field(default_factory=dict)
    validates: int | None = None
    group: str | None = None
    label: str | None = None
    reused: str | None = None
    profiles: Mapping[int, Profile] = field(default_factory=dict)
    computed_by: tuple[str, ...] = ()
    audit: Mapping[int, dict[str, float]] | None = None

    @property
    def name(self) -> str:
        """What Ray calls it, and its checkpoint.

        Example:
            >>> TrialRecord(number=3, key="0123456789abcdef", fields={}).name
            'trial-0003-0123456789abcdef'
        """
        return f"trial-{self.number:04d}-{self.key}"

    @property
    def parted(self) -> bool:
        """Whether its batches were in smaller parts than asked, for lack of memory.

        Then batch statistics were of smaller parts: it is the result of `trained`.
        """
        return PARTS in self.changed_fields

    @property
    def trained(self) -> dict[str, Any]:
        """The configuration that gives its last result, trained from scratch."""
        return {**self.fields, **self.changed_fields}

    @property
    def epoch(self) -> int:
        """Epochs reported."""
        return max(self.history, default=0)

    @property
    def trained_epochs(self) -> int:
        """Epochs reported, with those of an audit.

        Example:
            >>> epochs = {"history": {1: {}}, "audit": {2: {}}}
            >>> record = TrialRecord(number=0, fields={}, **epochs)
            >>> record.epoch, record.trained_epochs
            (1, 2)
        """
        return max(self.audit or (), default=self.epoch)

    def last(self, metric: str) -> float:
        """The metric in the last epoch reported."""
        return self.history[self.epoch][metric]
