"""What happened in a study, trial by trial; every change goes to the event log first.

The searcher, the scheduler, the table, the report, the progress line and MLflow are all
made from these records, at the start of a session as well as during it.
"""

import bisect
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from orthotune.config.metrics import METRICS
from orthotune.config.trial import TrialConfig
from orthotune.errors import StudyError
from orthotune.tuning.event_log import Event, EventLog
from orthotune.tuning.history import (
    COMPUTED_BY,
    PROFILES,
    History,
    Profile,
    Profiles,
    Times,
)

if TYPE_CHECKING:  # which knows how trials end from here
    from orthotune.tuning.reuse import Earlier

SETTING = "hp/"
"""How the metrics begin that say what a setting was which may change in training."""

PARTS = "data.num_micro_batches"
"""The field that is doubled when a trial does not fit into memory."""


class Status(StrEnum):
    """How a trial stands or ended."""

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
        lived: What has changed of `fields` since: by population-based training, with
            the schedule of the changes (`changes.*`), or for lack of memory.
        validates: The number of the trial whose configuration it trains from scratch
            with another seed, if it does.
        group: What it is a replicate of, if it was listed as one.
        label: What it is called among those of its group.
        reused: The study and MLflow run its result was taken from, if it was.
        profiles: Its networks layer by layer, by epoch, if they were looked at.
        computed_by: The GPUs or CPUs; several if it went on elsewhere.
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
    lived: dict[str, Any] = field(default_factory=dict)
    validates: int | None = None
    group: str | None = None
    label: str | None = None
    reused: str | None = None
    profiles: Mapping[int, Profile] = field(default_factory=dict)
    computed_by: tuple[str, ...] = ()

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
        return PARTS in self.lived

    @property
    def trained(self) -> dict[str, Any]:
        """The configuration that gives its last result, trained from scratch."""
        return {**self.fields, **self.lived}

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
        """A trial has started, or goes on in this session."""

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """A trial has reported an epoch."""

    def on_end(self, record: TrialRecord) -> None:
        """A trial has ended, or is interrupted."""


class Journal:
    """The records of a study, rebuilt from its event log and kept up to date.

    Args:
        log: The study's event log; its events are replayed.
        max_epochs: The full budget of a trial.
        live: Whether another process runs its trials now: those that run are not
            interrupted then.

    Attributes:
        observers: Told of every change.
        tally: How many trials stand how.
        num_reports: Epochs that were reported.
        exhausted: Whether the searcher has nothing new to suggest.
        codes: The code of every session; None for one that nobody knows.

    Raises:
        StudyError: From every method that adds an event, if the log cannot be written.
    """

    def __init__(self, log: EventLog, max_epochs: int, *, live: bool = False) -> None:
        self._log = log
        self._max_epochs = max_epochs
        self._records: dict[int, TrialRecord] = {}
        self._spent_ms = 0
        self._session_ms: int | None = None
        self.exhausted = False
        self.codes: set[str | None] = set()
        self.tally: Counter[Status] = Counter()
        self.observers: Sequence[Observer] = ()
        self.num_reports = 0
        self._histories: dict[int, History] = {}
        for place, event in log.events():
            self._apply(event, place)
        for record in self.records:
            if record.status == Status.RUNNING and not live:
                self._stands(record, Status.INTERRUPTED)
                seen = record.reported_ms.values()
                record.ended_ms = max(seen, default=record.started_ms)
        self._session_ms = None

    @property
    def records(self) -> list[TrialRecord]:
        """The records in the order of the trials' numbers."""
        return list(self._records.values())

    @property
    def open(self) -> list[TrialRecord]:
        """The records of the trials that have not ended."""
        return [record for record in self.records if not record.status.ended]

    @property
    def reports(self) -> list[tuple[int, int]]:
        """`(number, epoch)` of every epoch, in the order they were reported."""
        found = sorted(
            (place, number, epoch)
            for number, history in self._histories.items()
            for place, epoch in history.places()
        )
        return [(number, epoch) for _, number, epoch in found]

    @property
    def spent_s(self) -> float:
        """Seconds of all sessions, up to the last event of each."""
        return self._spent_ms / 1000

    @property
    def num_ended(self) -> int:
        """Trials in which nothing is left to run."""
        return sum(n for status, n in self.tally.items() if status.ended)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> TrialRecord:
        return self._records[number]

    def standings(self, metric: str) -> "Standings":
        """Those of the trials that have ended so far."""
        standings = Standings(metric)
        for record in self.records:
            if record.status.ended:
                standings.add(record)
        return standings

    def begin_session(self, **notes: object) -> None:
        """Count time from now on."""
        self._add({"event": "session", **notes}, durable=True)

    def suggest(
        self,
        key: str,
        fields: Mapping[str, Any],
        validates: int | None = None,
        group: str | None = None,
        label: str | None = None,
    ) -> TrialRecord:
        """Add a trial that is going to run."""
        number = len(self._records)
        event: Event = {"event": "suggested", "number": number, "key": key}
        what = {"validates": validates, "group": group, "label": label}
        event |= {name: value for name, value in what.items() if value is not None}
        self._add({**event, "fields": dict(fields)}, durable=True)
        return self._records[number]

    def start(self, number: int) -> None:
        """A trial has started, or goes on."""
        record = self._records[number]
        if record.status == Status.RUNNING:  # again, after its worker died
            return
        self._add({"event": "started", "number": number})
        self._tell(lambda observer: observer.on_start(record))

    def report(self, number: int, epoch: int, metrics: Mapping[str, Any]) -> None:
        """A trial has reported an epoch; one seen before is not told again."""
        record = self._records[number]
        if epoch in record.history:
            return
        names = (*METRICS, "test_error")
        kept = {name: float(metrics[name]) for name in names if name in metrics}
        kept |= {k: float(v) for k, v in metrics.items() if k.startswith(SETTING)}
        event = {"event": "epoch", "number": number, "epoch": epoch, "metrics": kept}
        if PROFILES in metrics:
            event[PROFILES] = metrics[PROFILES]
        if metrics.get(COMPUTED_BY, "") not in ("", *record.computed_by):
            event[COMPUTED_BY] = metrics[COMPUTED_BY]
        self._add(event)
        self._tell(lambda observer: observer.on_epoch(record, epoch))

    def reuse(self, number: int, earlier: "Earlier") -> None:
        """A trial ends with the result that another study has of it."""
        source = f"{earlier.study}, run {earlier.run_id}"
        event = {"event": "reused", "number": number, "source": source}
        self._add({**event, COMPUTED_BY: list(earlier.computed_by)})
        self.start(number)
        for epoch, metrics in earlier.history.items():
            self.report(number, epoch, metrics)
        self.end(number, earlier.status)

    def live(self, number: int, lived: Mapping[str, Any]) -> None:
        """A trial goes on with a configuration; one known is not told again."""
        record = self._records[number]
        known = record.lived or TrialConfig.from_dict(record.fields).to_dict()
        if any(known.get(name) != value for name, value in lived.items()):
            self._add({"event": "lived", "number": number, "fields": dict(lived)})

    def natural_end(self, number: int) -> Status:
        """What a trial that has ended without an error has ended as."""
        record = self._records[number]
        if record.history and record.last("diverged"):
            return Status.DIVERGED
        done = record.epoch >= self._max_epochs
        return Status.FINISHED if done else Status.STOPPED

    def end(self, number: int, status: Status, error: str | None = None) -> None:
        """A trial has ended; a second end is not told."""
        record = self._records[number]
        if record.status.ended:
            return
        event = {"event": "ended", "number": number, "status": str(status)}
        self._add({**event, "error": error}, durable=True)
        self._tell(lambda observer: observer.on_end(record))

    def reopen(self, number: int) -> None:
        """A trial shall run from its start: what it failed by may be mended.

        Or the result of another study was being written down when a session died.
        """
        self._add({"event": "reopened", "number": number}, durable=True)

    def exhaust(self) -> None:
        """The searcher has nothing new to suggest."""
        self._add({"event": "exhausted"}, durable=True)

    def suspend(self) -> None:
        """The session is over: what runs is interrupted, and goes on in the next."""
        if self._session_ms is not None:
            with contextlib.suppress(StudyError):  # only the time would be missing
                self._add({"event": "paused"})
        for record in self.open:
            if record.status == Status.RUNNING:
                record.ended_ms = now_ms()
                self._stands(record, Status.INTERRUPTED)
                self._tell(lambda observer, record=record: observer.on_end(record))

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            call(observer)

    def _add(self, event: Event, *, durable: bool = False) -> None:
        event["time"] = now_ms()
        if self._session_ms is None:
            event["between"] = True
        self._apply(event, self._log.append(event, durable=durable))

    def _apply(self, event: Event, place: int) -> None:
        """Change the records as an event says, which has its place in the log.

        What a reader in another thread goes by comes last: the status, the history.
        """
        at = event["time"]
        if "between" in event:  # written before a session began: that before is over
            self._session_ms = None
        if self._session_ms is not None:
            self._spent_ms += max(0, at - self._session_ms)
            self._session_ms = at
        match event:
            case {"event": "session"}:
                self._session_ms = at
                self.codes.add(event.get("code"))
            case {"event": "paused"}:
                self._session_ms = None
            case {"event": "exhausted"}:
                self.exhausted = True
            case {"event": "suggested", "number": number}:
                self._records[number] = TrialRecord(
                    number=number,
                    key=event["key"],
                    fields=event["fields"],
                    validates=event.get("validates"),
                    group=event.get("group"),
                    label=event.get("label"),
                )
                self._without_history(self._records[number])
                self.tally[Status.WAITING] += 1
            case {"event": kind, "number": number}:
                self._change(self._records[number], kind, event, place)

    def _change(self, record: TrialRecord, kind: str, event: Event, place: int) -> None:
        """Change a trial's record as an event of it says."""
        at = event["time"]
        match kind:
            case "started":
                record.started_ms = record.started_ms or at
                self._stands(record, Status.RUNNING)
            case "epoch":
                self._histories[record.number].add(event, place)
                self.num_reports += 1
                if COMPUTED_BY in event:
                    name = sys.intern(event[COMPUTED_BY])  # of most trials one
                    record.computed_by = (*record.computed_by, name)
            case "reused":
                record.reused = event["source"]
                record.computed_by = tuple(event.get(COMPUTED_BY, ()))
            case "lived":
                record.lived = event["fields"]
            case "ended":
                record.error, record.ended_ms = event["error"], at
                self._stands(record, Status(event["status"]))
            case "reopened":
                # What is mended may change every epoch: nothing of before counts.
                record.error = None
                record.attempt += 1
                record.lived = {}
                record.reused = None
                record.computed_by = ()
                self.num_reports -= len(record.history)
                self._without_history(record)
                self._stands(record, Status.INTERRUPTED)
                self.exhausted = False  # its result may make others necessary

    def _without_history(self, record: TrialRecord) -> None:
        history = self._histories[record.number] = History(self._log)
        record.history, record.reported_ms = history, Times(history)
        record.profiles = Profiles(history)

    def _stands(self, record: TrialRecord, status: Status) -> None:
        self.tally[record.status] -= 1
        self.tally[status] += 1
        record.status = status


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


class Standings:
    """The trials that can be compared, best first, kept in order as trials are added.

    Those that ran as long as the longest one, without diverging: a value after one
    epoch says nothing against a value after ten.

    Args:
        metric: What is minimized.

    Attributes:
        best: The trials.

    Example:
        >>> standings = Standings("val_error")
        >>> for number, error in enumerate([0.5, 0.25]):
        ...     history = {1: {"val_error": error}}
        ...     standings.add(TrialRecord(number=number, fields={}, history=history))
        >>> [record.number for record in standings.best]
        [1, 0]
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._longest = 0
        self.best: list[TrialRecord] = []

    def add(self, record: TrialRecord) -> None:
        """Put a trial in its place, if it can be compared."""
        epoch = record.epoch
        if record.status in WITHOUT_VALUE or not epoch or epoch < self._longest:
            return
        if epoch > self._longest:
            self._longest, self.best = epoch, []
        bisect.insort(self.best, record, key=self._place)

    def _place(self, record: TrialRecord) -> tuple[float, int]:
        return record.last(self._metric), record.number


def equal_budget(records: Iterable[TrialRecord], metric: str) -> list[TrialRecord]:
    """The `Standings` of trials."""
    standings = Standings(metric)
    for record in records:
        standings.add(record)
    return standings.best
