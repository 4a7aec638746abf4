"""What happened in a study, trial by trial, as the driver sees it.

The journal listens to Ray; the table, the figure, the progress line and MLflow are all
made from its records.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.experiment import Trial

from orthotune.training.metrics import METRICS


class Status(StrEnum):
    """How a trial stands or ended."""

    RUNNING = "running"
    FINISHED = "finished"
    """Ran its full budget."""
    STOPPED = "stopped"
    """Ended early by the scheduler or the time budget."""
    DIVERGED = "diverged"
    """Ended by a non-finite loss or weight: a result."""
    FAILED = "failed"
    """Ended by an exception."""
    INTERRUPTED = "interrupted"
    """Was running when the study was interrupted."""


@dataclass(kw_only=True)
class TrialRecord:
    """One trial: what it was given, what it reported, how it ended.

    Args:
        number: Counted from 0 in the order of their starts.
        trial_id: Ray's name for it.
        fields: Its configuration by dotted name, as suggested.
        history: Its metrics by epoch.
        status: How it stands.
        error: The last line of the exception, if it failed.
    """

    number: int
    trial_id: str
    fields: dict[str, Any]
    history: dict[int, dict[str, float]] = field(default_factory=dict)
    status: Status = Status.RUNNING
    error: str | None = None

    @property
    def epoch(self) -> int:
        """Epochs reported."""
        return max(self.history, default=0)

    def last(self, metric: str) -> float:
        """The metric in the last epoch reported."""
        return self.history[self.epoch][metric]


class Observer(Protocol):
    """What is told of every change of a record, on the driver's event loop."""

    def on_start(self, record: TrialRecord) -> None:
        """A trial has started."""

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """A trial has reported an epoch."""

    def on_end(self, record: TrialRecord) -> None:
        """A trial has ended."""


class Journal(Callback):
    """The records of a study, kept up to date by Ray's callbacks.

    Args:
        max_epochs: The full budget of a trial.
        observers: Told of every change.
    """

    def __init__(self, max_epochs: int, observers: Sequence[Observer] = ()) -> None:
        self._max_epochs = max_epochs
        self._observers = tuple(observers)
        self._records: dict[str, TrialRecord] = {}
        self.interrupted = False

    def __getstate__(self) -> dict[str, Any]:
        """Without the observers: Ray writes its callbacks to disk, threads stay."""
        return {**self.__dict__, "_observers": ()}

    @property
    def records(self) -> list[TrialRecord]:
        """The records in the order of the trials' starts."""
        return list(self._records.values())

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Ray has started, or started again, a trial."""
        if trial.trial_id in self._records:
            return
        record = TrialRecord(
            number=len(self._records),
            trial_id=trial.trial_id,
            fields=dict(trial.config),
        )
        self._records[trial.trial_id] = record
        for observer in self._observers:
            observer.on_start(record)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: object,
    ) -> None:
        """A trial has reported an epoch; one seen before is not told again."""
        record, epoch = self._records[trial.trial_id], int(result["epoch"])
        if epoch in record.history:
            return
        record.history[epoch] = {
            name: float(result[name]) for name in METRICS if name in result
        }
        for observer in self._observers:
            observer.on_epoch(record, epoch)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """A trial has ended without an exception."""
        record = self._records.get(trial.trial_id)
        if record is None:  # ended before it started
            return
        if record.history and record.last("diverged"):
            self._end(record, Status.DIVERGED)
        elif record.epoch >= self._max_epochs:
            self._end(record, Status.FINISHED)
        else:
            ended = Status.INTERRUPTED if self.interrupted else Status.STOPPED
            self._end(record, ended)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """A trial has ended by an exception."""
        record = self._records.get(trial.trial_id)
        if record is not None:
            record.error = _last_line(trial.error_file)
            self._end(record, Status.FAILED)

    def interrupt(self) -> None:
        """From now on a trial that ends early has been interrupted."""
        self.interrupted = True

    def close(self) -> None:
        """End what is still running: the study is over, or out of its time budget."""
        ended = Status.INTERRUPTED if self.interrupted else Status.STOPPED
        for record in self.records:
            self._end(record, ended)

    def _end(self, record: TrialRecord, status: Status) -> None:
        if record.status != Status.RUNNING:
            return
        record.status = status
        for observer in self._observers:
            observer.on_end(record)


def _last_line(error_file: str | None) -> str:
    """The exception itself, from the traceback Ray keeps beside the trial."""
    try:
        text = Path(error_file or "").read_text(errors="replace")
    except OSError:  # the traceback is a courtesy
        text = ""
    lines = text.strip().splitlines() or ["unknown error"]
    return lines[-1].strip()


def equal_budget(records: Sequence[TrialRecord], metric: str) -> list[TrialRecord]:
    """The trials that can be compared, best first.

    Those that ran as long as the longest one, without diverging: a value after one
    epoch says nothing against a value after ten.
    """
    results = [
        record
        for record in records
        if record.history and record.status not in (Status.DIVERGED, Status.FAILED)
    ]
    longest = max((record.epoch for record in results), default=0)
    comparable = [record for record in results if record.epoch == longest]
    return sorted(comparable, key=lambda record: (record.last(metric), record.number))
