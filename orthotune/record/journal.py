"""The trials of a study as records; every change goes to the event log first.

The searcher, the scheduler, the table, the report, the progress line and MLflow are all
made from these records, at the start of a session as well as during it.
"""

import contextlib
import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orthotune.config.metrics import METRICS, SIGNALS
from orthotune.config.trial import TrialConfig
from orthotune.errors import StudyError
from orthotune.record.earlier import Earlier
from orthotune.record.event_log import Event, EventLog
from orthotune.record.history import (
    COMPUTED_BY,
    PROFILES,
    History,
    Profiles,
    Times,
)
from orthotune.record.observer import Observer
from orthotune.record.provenance import UNKNOWN
from orthotune.record.standings import Standings
from orthotune.record.trial_record import SETTING, Status, TrialRecord
from orthotune.space.settings import ConfirmSettings


class Journal:
    """The records of a study, rebuilt from its event log and kept up to date.

    Args:
        log: The study's event log; its events are replayed.
        max_epochs: The full budget of a trial.
        live: Whether another process runs its trials now: those that run are not
            interrupted then.

    Attributes:
        observers: Told of every change.
        status_counts: How many trials stand how.
        num_reports: Epochs that were reported.
        exhausted: Whether the searcher has nothing new to suggest.
        confirm: What was begun to be confirmed; None if nothing was, or by a version
            that did not say.
        codes: The code of every session; None for one that nobody knows.
        commits: The commits of the code of all sessions, each once.

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
        self.confirm: ConfirmSettings | None = None
        self.codes: set[str | None] = set()
        self.commits: list[str] = []
        self.status_counts: Counter[Status] = Counter()
        self.observers: Sequence[Observer] = ()
        self.num_reports = 0
        self._histories: dict[int, History] = {}
        self._audits: dict[int, History] = {}
        for place, event in log.events():
            self._apply(event, place)
        for record in self.records:
            if record.status == Status.RUNNING and not live:
                self._set_status(record, Status.INTERRUPTED)
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
    def confirming(self) -> list[TrialRecord]:
        """Those of them that confirm others."""
        return [record for record in self.open if record.validates is not None]

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
        return sum(n for status, n in self.status_counts.items() if status.ended)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> TrialRecord:
        return self._records[number]

    def standings(self, metric: str) -> Standings:
        """Those of the trials that have ended so far, without those that confirm."""
        standings = Standings(metric)
        for record in self.records:
            if record.status.ended and record.validates is None:
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
        if epoch in record.history or epoch in (record.audit or ()):
            return
        names = (*METRICS, *SIGNALS, "test_error")
        kept = {name: float(metrics[name]) for name in names if name in metrics}
        kept |= {k: float(v) for k, v in metrics.items() if k.startswith(SETTING)}
        event = {"event": "epoch", "number": number, "epoch": epoch, "metrics": kept}
        if PROFILES in metrics:
            event[PROFILES] = metrics[PROFILES]
        if metrics.get(COMPUTED_BY, "") not in ("", *record.computed_by):
            event[COMPUTED_BY] = metrics[COMPUTED_BY]
        self._add(event)
        if record.audit is None:  # else it is nobody's but the audit's
            self._tell(lambda observer: observer.on_epoch(record, epoch))

    def condemn(self, number: int) -> None:
        """A trial is stopped for all but an audit, for which it runs on."""
        if self._records[number].audit is None:
            self._add({"event": "condemned", "number": number})

    def reuse(self, number: int, earlier: Earlier) -> None:
        """A trial ends with the result that another study has of it."""
        source = f"{earlier.study}, run {earlier.run_id}"
        event = {"event": "reused", "number": number, "source": source}
        self._add({**event, COMPUTED_BY: list(earlier.computed_by)})
        self.start(number)
        for epoch, metrics in earlier.history.items():
            self.report(number, epoch, metrics)
        self.end(number, earlier.status)

    def change_fields(self, number: int, changed_fields: Mapping[str, Any]) -> None:
        """Record that fields of a trial have changed, if that is not known yet."""
        record = self._records[number]
        known = record.changed_fields or TrialConfig.from_dict(record.fields).to_dict()
        if any(known.get(name) != value for name, value in changed_fields.items()):
            self._add(
                {"event": "lived", "number": number, "fields": dict(changed_fields)}
            )

    def natural_end(self, number: int) -> Status:
        """The status of a trial that has ended without an error."""
        record = self._records[number]
        if record.audit is not None:
            return Status.STOPPED
        if record.history and record.last("diverged"):
            return Status.DIVERGED
        done = record.epoch >= self._max_epochs
        return Status.FINISHED if done else Status.STOPPED

    def end(self, number: int, status: Status, error: str | None = None) -> None:
        """A trial has ended; a second end is not told."""
        record = self._records[number]
        if record.status.ended:
            return
        if record.audit is not None:  # whatever its audit has met
            status = Status.STOPPED
        event = {"event": "ended", "number": number, "status": str(status)}
        self._add({**event, "error": error}, durable=True)
        self._tell(lambda observer: observer.on_end(record))

    def reopen(self, number: int) -> None:
        """A failed trial is to run again from its start.

        Or the result of another study was being written down when a session died.
        """
        self._add({"event": "reopened", "number": number}, durable=True)

    def exhaust(self) -> None:
        """The searcher has nothing new to suggest."""
        self._add({"event": "exhausted"}, durable=True)

    def begin_confirmation(self, confirm: ConfirmSettings) -> None:
        """What is confirmed from now on, if that is not known yet."""
        if confirm != self.confirm:
            event = {"event": "confirm", **dataclasses.asdict(confirm)}
            self._add(event, durable=True)

    def suspend(self) -> None:
        """The session is over: what runs is interrupted, and goes on in the next."""
        if self._session_ms is not None:
            with contextlib.suppress(StudyError):  # only the time would be missing
                self._add({"event": "paused"})
        for record in self.open:
            if record.status == Status.RUNNING:
                record.ended_ms = now_ms()
                self._set_status(record, Status.INTERRUPTED)
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
                commit = event.get("commit", UNKNOWN)
                if commit not in self.commits:
                    self.commits.append(commit)
            case {"event": "paused"}:
                self._session_ms = None
            case {"event": "exhausted"}:
                self.exhausted = True
            case {"event": "confirm", "top": top, "seeds": seeds}:
                self.confirm = ConfirmSettings(top=top, seeds=seeds)
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
                self.status_counts[Status.WAITING] += 1
            case {"event": kind, "number": number}:
                self._change(self._records[number], kind, event, place)

    def _change(self, record: TrialRecord, kind: str, event: Event, place: int) -> None:
        """Change a trial's record as an event of it says."""
        at = event["time"]
        match kind:
            case "started":
                record.started_ms = record.started_ms or at
                self._set_status(record, Status.RUNNING)
            case "epoch":
                self._open_history(record.number).add(event, place)
                self.num_reports += 1
                if COMPUTED_BY in event:
                    name = sys.intern(event[COMPUTED_BY])  # of most trials one
                    record.computed_by = (*record.computed_by, name)
            case "reused":
                record.reused = event["source"]
                record.computed_by = tuple(event.get(COMPUTED_BY, ()))
            case "lived":
                record.changed_fields = event["fields"]
            case "condemned":
                record.audit = self._audits[record.number] = History(self._log)
            case "ended":
                record.error, record.ended_ms = event["error"], at
                self._set_status(record, Status(event["status"]))
            case "reopened":
                # What is mended may change every epoch: nothing of before counts.
                record.error = None
                record.attempt += 1
                record.changed_fields = {}
                record.reused = None
                record.computed_by = ()
                self.num_reports -= len(record.history) + len(record.audit or ())
                self._without_history(record)
                self._set_status(record, Status.INTERRUPTED)
                self.exhausted = False  # its result may make others necessary

    def _open_history(self, number: int) -> History:
        return self._audits.get(number, self._histories[number])

    def _without_history(self, record: TrialRecord) -> None:
        history = self._histories[record.number] = History(self._log)
        record.history, record.reported_ms = history, Times(history)
        record.profiles = Profiles(history)
        record.audit = self._audits.pop(record.number, None) and None

    def _set_status(self, record: TrialRecord, status: Status) -> None:
        self.status_counts[record.status] -= 1
        self.status_counts[status] += 1
        record.status = status


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
