"""The one writer to MLflow: on the driver, in the background, in batches.

One experiment per study name, a parent run for the study, a child run per trial. What
MLflow shows is a projection of the study's journal: observers only note which trials
have changed, and a thread brings their runs up to date from the records. So nothing
here blocks or breaks Ray's event loop; nothing needs to be kept for a store that does
not answer but the numbers of the trials it misses; and a later session finds out what
is missing and writes it.

A call costs MLflow more than the hundreds of metrics it may carry. So the thread waits
a moment after the first change and writes all of it in rounds, a trial in as few calls
as there are: its run, all that is to be logged, its end.
"""

import shlex
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from orthotune.console import note
from orthotune.errors import StudyError
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.storage.redaction import first_line, without_secrets
from orthotune.tracking.best_so_far import BestSoFar
from orthotune.tracking.closing import close_study
from orthotune.tracking.parallel_calls import call_in_parallel
from orthotune.tracking.sqlite_uri import sqlite_file
from orthotune.tracking.study_runs import StudyIdentity, StudyRuns
from orthotune.tracking.summary import Summary
from orthotune.tracking.ui_view import Addresses, View, free_port

GATHER_S = 1.0  # what changes in so much time is written together
NUM_CALLERS = 4  # calls under way at once, to a server
RETRY_WAITS_S = (0.5, 2.0, 8.0, 30.0)  # the last one again and again
CLOSING_WAIT_S = 120.0  # for what is left to write at the end of a session
FAILING_WAIT_S = 10.0  # the same, while the store does not answer

Progress = tuple[Status, int]
"""How far a trial is: its status, and the epochs it has reported."""


class Tracker:
    """Keeps a study's runs in MLflow up to date; an observer of its journal.

    Args:
        uri: Where, as `resolve_tracking_uri` gives it.
        name: Name of the study, and of the experiment.
        study_id: Tells this study from an earlier one of the same name.
        metric: What the study minimizes; the parent run shows the best so far.
        params: The study's settings.
        tags: Where it comes from; a few are copied to every trial's run.
        view: What the UI opens on; its trials by default.
        ranked: Whether the parent run shows the best trial so far.
        settle: Called before anything is written: raises an OSError if whoever
            continues the study would not know of it.
    """

    def __init__(
        self,
        *,
        uri: str,
        name: str,
        study_id: str,
        metric: str,
        params: Mapping[str, object],
        tags: Mapping[str, str],
        view: View | None = None,
        ranked: bool = True,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        trials = View(kind="trial", study_id=study_id, metric=metric)
        self._view = view or trials
        self._best = BestSoFar(metric) if ranked else None
        self._settle = settle
        self.uri = uri
        self.first_error: str | None = None
        self.study_id = study_id
        self._metric = metric
        self._records: dict[int, TrialRecord] = {}
        study = StudyIdentity(
            name=name, study_id=study_id, params=params, tags=tags, view=self._view
        )
        self._runs = StudyRuns(uri, study, self._records, self._answered)
        self._dirty: dict[int, None] = {}  # in the order they changed
        self._changed = threading.Condition()
        self._summary: Summary | None = None
        self._active = False
        self._failures = 0  # rounds in a row
        self._answered_s = 0.0  # when the store last did
        self._given_up = threading.Event()
        self._thread = threading.Thread(
            target=self._write_all, name="mlflow-writer", daemon=True
        )

    def connect(self) -> None:
        """Open the store now, so that one that cannot be used is refused at once.

        Raises:
            StudyError: If the store cannot be written to.
        """
        try:
            self._runs.connect()
        except StudyError:
            raise
        except Exception as err:  # MLflow's, SQLAlchemy's, Alembic's: no common base
            raise StudyError(
                "--tracking-uri must be a store that can be written to, but "
                f"{without_secrets(self.uri)} says: {first_line(err)}."
            ) from err

    def start(self, records: Sequence[TrialRecord]) -> None:
        """Start the writer; what MLflow misses of earlier sessions is written first."""
        for record in records:
            self._records[record.number] = record
            self._rank(record)
            if record.status != Status.WAITING:
                self._note(record)
        self._thread.start()

    def on_start(self, record: TrialRecord) -> None:
        """Open the trial's run, with its parameters."""
        self._active = True
        self._note(record)

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Log the epoch's metrics."""
        self._note(record)

    def on_end(self, record: TrialRecord) -> None:
        """Close the trial's run as what it was."""
        self._rank(record)
        self._note(record)

    def finish(self, summary: Summary) -> None:
        """Write what is left, and close the parent run; give up after a while."""
        with self._changed:
            self._summary = summary
            self._changed.notify()
        start = time.monotonic()
        while self._thread.is_alive():
            self._thread.join(0.1)
            now = time.monotonic()
            silent_s = now - max(start, self._answered_s) if self._failures else 0.0
            if now - start > CLOSING_WAIT_S or silent_s > FAILING_WAIT_S:
                self._warn(TimeoutError(f"not done within {now - start:.0f} s"))
                break
        self._given_up.set()

    @property
    def complete(self) -> bool:
        """Whether MLflow holds all there is, after `finish`."""
        return not self._thread.is_alive() and not self._failures

    def ui(self) -> tuple[str | None, Addresses | None]:
        """The command that starts the UI of this store, and where the study is there.

        No command for a server's; no addresses before the store has answered.
        """
        command, server = None, without_secrets(self.uri)
        if not self.uri.startswith("http"):
            port = free_port()
            words = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
            # A file has no password, and its name can look like one.
            is_file = sqlite_file(self.uri) is not None
            uri = self.uri if is_file else without_secrets(self.uri)
            command = shlex.join([*words, "--backend-store-uri", uri])
            server = f"http://127.0.0.1:{port}"
        experiment, parent = self._runs.experiment_id, self._runs.parent_id
        if experiment is None or parent is None:
            return command, None
        return command, Addresses.of(server, experiment, self._view.key, parent)

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the study's experiment; None before the store has answered."""
        return self._runs.experiment_id

    def _rank(self, record: TrialRecord) -> None:
        searched = record.status == Status.FINISHED and record.validates is None
        if self._best is not None and searched:
            self._best.add(record)

    def _answered(self) -> None:
        if self._failures <= 1:  # it can be a store that is read, and not written
            self._answered_s = time.monotonic()

    def _note(self, record: TrialRecord) -> None:
        with self._changed:
            self._records[record.number] = record
            if not self._dirty:  # otherwise the writer is busy, or gathers
                self._changed.notify()
            self._dirty[record.number] = None

    def _write_all(self) -> None:
        """The writer thread: bring runs up to date until the session is over."""
        while not self._given_up.is_set():
            numbers, closing = self._next()
            try:
                progress = self._progress(numbers)
                num_finished = 0 if self._best is None else len(self._best)
                self._settle()
                parent = self._runs.connect()
                running = self._active and closing is None
                if running and parent.status != "RUNNING":
                    self._runs.client.update_run(parent.run_id, status="RUNNING")
                    parent.status = "RUNNING"
                if self._best is not None:
                    self._best.log(self._runs, parent, num_finished)
                self._update_all(numbers, progress)
                if closing is not None and not self._dirty:
                    records = self._records.values()
                    close_study(self._runs, parent, closing, self._metric, records)
                    self._failures = 0
                    return
                self._failures = 0
            except Exception as err:  # the study must outlive its log
                with self._changed:  # what failed is last: others need not wait for it
                    self._dirty = self._dirty | numbers
                self._warn(err)
                self._runs.look_again()
                if self._best is not None:
                    self._best.anew()
                wait_s = RETRY_WAITS_S[min(self._failures, len(RETRY_WAITS_S) - 1)]
                self._failures += 1
                self._wait(wait_s, closing=closing is not None)

    def _next(self) -> tuple[dict[int, None], Summary | None]:
        """What has changed, when something has; and the summary at the end."""
        with self._changed:
            while not self._dirty and self._summary is None:
                self._changed.wait()
            self._changed.wait_for(lambda: self._summary is not None, GATHER_S)
            numbers, self._dirty = self._dirty, {}
            return numbers, self._summary

    def _progress(self, numbers: Collection[int]) -> dict[int, Progress]:
        """How trials stand now, before that is settled: no later news is written."""
        records = ((number, self._records[number]) for number in numbers)
        return {number: (one.status, one.epoch) for number, one in records}

    def _update_all(
        self, numbers: dict[int, None], progress: Mapping[int, Progress]
    ) -> None:
        """Bring the runs of trials to where they stood.

        Those that are leave `numbers`; one that cannot be is then the last of them.
        """

        def update(number: int) -> None:
            del numbers[number]
            try:
                self._runs.update(self._records[number], *progress[number])
            except Exception:
                numbers[number] = None
                raise
            self._answered_s = time.monotonic()

        for number in numbers:  # before its trials', of which several are made at once
            group = self._records[number].group
            if group is not None and number not in self._runs.trials:
                self._runs.group(group)
        # A database is written by this process itself, and has one writer.
        callers = NUM_CALLERS if self.uri.startswith("http") else 1
        call_in_parallel(update, list(numbers), callers)

    def _wait(self, wait_s: float, *, closing: bool) -> None:
        """Before another attempt; the end of the session cuts it short."""
        if closing:
            self._given_up.wait(min(wait_s, 1.0))
            return
        with self._changed:
            self._changed.wait_for(lambda: self._summary is not None, wait_s)

    def _warn(self, err: Exception) -> None:
        if self.first_error is not None:
            return
        self.first_error = first_line(err)
        note(
            f"warning: MLflow at {without_secrets(self.uri)} fails "
            f"({self.first_error}); training goes on, and what it misses is written "
            "when it answers."
        )
