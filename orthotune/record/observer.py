"""Who is told of what happens to the trials of a study."""

from collections.abc import Sequence
from typing import Protocol

from orthotune.record.trial_record import TrialRecord


class Observer(Protocol):
    """Is told of every change of a record, on the driver's event loop."""

    def on_start(self, record: TrialRecord) -> None:
        """A trial has started, or goes on in this session."""

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """A trial has reported an epoch."""

    def on_end(self, record: TrialRecord) -> None:
        """A trial has ended, or is interrupted."""


class SessionObserver(Observer, Protocol):
    """Is also told of the begin and the end of a session."""

    def start(self, records: Sequence[TrialRecord]) -> None:
        """A session begins, with these trials from before."""

    def close(self) -> None:
        """The session is over; every trial that ran has ended or is interrupted."""
