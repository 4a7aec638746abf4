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

import bisect
import shlex
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from orthotune.config.trial import TrialConfig
from orthotune.console import note
from orthotune.errors import StudyError
from orthotune.record.journal import now_ms
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.storage.redaction import without_secrets
from orthotune.tracking.artifact_locations import artifact_location, follow
from orthotune.tracking.parallel_calls import side_by_side
from orthotune.tracking.sqlite_store import prepare_sqlite
from orthotune.tracking.sqlite_uri import sqlite_file
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracked_run import (
    INCOMPLETE,
    MIXED_CODE,
    RUN_STATUS,
    SEEN,
    TrackedRun,
    existing_run,
    metric_entity,
    param_entities,
    status_tags,
    tag_entities,
)
from orthotune.tracking.ui_view import Addresses, View, free_port

# MLflow takes a second to import: what writes does so, while Ray starts.
if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_BATCH = 1000  # metrics in one call, MLflow's limit
MAX_PARAMS = 100  # params or tags in one call, likewise
GATHER_S = 1.0  # what changes in so much time is written together
NUM_CALLERS = 4  # calls under way at once, to a server
RETRY_WAITS_S = (0.5, 2.0, 8.0, 30.0)  # the last one again and again
CLOSING_WAIT_S = 120.0  # for what is left to write at the end of a session
FAILING_WAIT_S = 10.0  # the same, while the store does not answer

Stand = tuple[Status, int]
"""How a trial stands: its status, and the epochs it has reported."""


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
        self._ranked = ranked
        self._settle = settle
        self.uri = uri
        self._file = sqlite_file(uri)
        self.first_error: str | None = None
        self.experiment_id: str | None = None
        self._name = name
        self.study_id = study_id
        self._metric = metric
        self._params = params
        self._tags = tags
        self._runs: dict[int, TrackedRun] = {}
        self._groups: dict[str, TrackedRun] = {}
        self._parent: TrackedRun | None = None
        self._parent_id: str | None = None  # also while that is looked for again
        self._records: dict[int, TrialRecord] = {}
        self._dirty: dict[int, None] = {}  # in the order they changed
        self._finished: list[tuple[int, int, float]] = []  # when, which, its value
        self._rank_anew()
        self._changed = threading.Condition()
        self._summary: Summary | None = None
        self._active = False
        self._failures = 0  # rounds in a row
        self._answered_s = 0.0  # when the store last did
        self._given_up = threading.Event()
        self._thread = threading.Thread(
            target=self._write_all, name="mlflow-writer", daemon=True
        )

    @cached_property
    def _client(self) -> "MlflowClient":
        """Made at first use: for a database, this opens it, which may fail."""
        if self._file is not None:
            prepare_sqlite(self._file)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def connect(self) -> None:
        """Open the store now, so that one that cannot be used is refused at once.

        Raises:
            StudyError: If the store cannot be written to.
        """
        try:
            self._connect()
        except StudyError:
            raise
        except Exception as err:  # MLflow's, SQLAlchemy's, Alembic's: no common base
            raise StudyError(
                "--tracking-uri must be a store that can be written to, but "
                f"{without_secrets(self.uri)} says: {_first_line(err)}."
            ) from err

    def start(self, records: Sequence[TrialRecord]) -> None:
        """Start the writer; what MLflow misses of earlier sessions is written first."""
        for record in records:
            self._records[record.number] = record
            if record.status == Status.FINISHED:
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
        if record.status == Status.FINISHED:
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
            uri = without_secrets(self.uri) if self._file is None else self.uri
            command = shlex.join([*words, "--backend-store-uri", uri])
            server = f"http://127.0.0.1:{port}"
        if self.experiment_id is None or self._parent_id is None:
            return command, None
        key = self._view.key
        return command, Addresses.of(server, self.experiment_id, key, self._parent_id)

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
                stands, num_finished = self._stands(numbers), len(self._finished)
                self._settle()
                parent = self._connect()
                running = self._active and closing is None
                if running and parent.status != "RUNNING":
                    self._client.update_run(parent.run_id, status="RUNNING")
                    parent.status = "RUNNING"
                self._log_best(parent, num_finished)
                self._update_all(numbers, stands, parent)
                if closing is not None and not self._dirty:
                    self._close(parent, closing)
                    self._failures = 0
                    return
                self._failures = 0
            except Exception as err:  # the study must outlive its log
                with self._changed:  # what failed is last: others need not wait for it
                    self._dirty = self._dirty | numbers
                self._warn(err)
                # Look again: the call may have made a run, and its answer been lost.
                self._parent = None
                self._rank_anew()
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

    def _stands(self, numbers: Collection[int]) -> dict[int, Stand]:
        """How trials stand now, before that is settled: no later news is written."""
        records = ((number, self._records[number]) for number in numbers)
        return {number: (one.status, one.epoch) for number, one in records}

    def _update_all(
        self, numbers: dict[int, None], stands: Mapping[int, Stand], parent: TrackedRun
    ) -> None:
        """Bring the runs of trials to where they stood.

        Those that are leave `numbers`; one that cannot be is then the last of them.
        """

        def update(number: int) -> None:
            del numbers[number]
            try:
                self._update(self._records[number], stands[number], parent)
            except Exception:
                numbers[number] = None
                raise
            self._answered_s = time.monotonic()

        for number in numbers:  # before its trials', of which several are made at once
            group = self._records[number].group
            if group is not None and number not in self._runs:
                self._group_run(group, parent)
        # A database is written by this process itself, and has one writer.
        callers = NUM_CALLERS if self.uri.startswith("http") else 1
        side_by_side(update, list(numbers), callers)

    def _wait(self, wait_s: float, *, closing: bool) -> None:
        """Before another attempt; the end of the session cuts it short."""
        if closing:
            self._given_up.wait(min(wait_s, 1.0))
            return
        with self._changed:
            self._changed.wait_for(lambda: self._summary is not None, wait_s)

    def _connect(self) -> TrackedRun:
        """The parent run; at first and after a failure, find or create the runs."""
        if self._parent is not None:
            return self._parent
        self.experiment_id = self._experiment()
        view = self._view.tag(now_ms())
        self._client.set_experiment_tag(self.experiment_id, *view)
        runs = self._find_runs()
        there = {run.run_id for run in runs}  # others have been deleted meanwhile
        self._runs = {n: run for n, run in self._runs.items() if run.run_id in there}
        self._groups = {n: r for n, r in self._groups.items() if r.run_id in there}
        for run in runs:
            if run.number is not None:
                self._adopt(run, run.number)
            elif run.group is not None:
                self._groups.setdefault(run.group, run)
        parents = [run for run in runs if run.number is None and run.group is None]
        if parents:
            self._parent = parents[0]
            self._parent_id = self._parent.run_id
            if MIXED_CODE in self._tags:
                run_id, mixed = self._parent.run_id, self._tags[MIXED_CODE]
                self._client.set_tag(run_id, MIXED_CODE, mixed)
            if not self._parent.has_params:
                self._log_params(self._parent, self._params)
            return self._parent
        tags = {
            **self._tags,
            "orthotune.kind": "study",
            "orthotune.study": self._name,
            "orthotune.study_id": self.study_id,
        }
        created = self._client.create_run(
            self.experiment_id, tags=tags, run_name=self._name
        )
        parent = TrackedRun(run_id=created.info.run_id)
        self._parent_id = parent.run_id
        self._log_params(parent, self._params)
        self._parent = parent
        return parent

    def _find_runs(self) -> list[TrackedRun]:
        """The runs of this study, oldest first, so that of two the first is kept."""
        found: list[TrackedRun] = []
        token = None
        while True:
            page = self._client.search_runs(
                [str(self.experiment_id)],
                f"tags.`orthotune.study_id` = '{self.study_id}'",
                order_by=["attributes.start_time ASC"],
                max_results=MAX_BATCH,
                page_token=token,
            )
            if self._failures <= 1:  # it can be one that is read, and not written
                self._answered_s = time.monotonic()
            found += map(existing_run, page)
            token = page.token
            if not token:
                return found

    def _adopt(self, run: TrackedRun, number: int) -> None:
        """Take over a run of an earlier session, unless another is the trial's."""
        record, known = self._records.get(number), self._runs.get(number)
        if record is None:
            if run.status == "RUNNING":
                self._client.set_tag(run.run_id, "orthotune.status", "orphan")
                self._client.set_terminated(run.run_id, status="KILLED")
        elif run.attempt != record.attempt:
            self._client.delete_run(run.run_id)  # of before a repair
        elif known is None:
            self._runs[number] = run
        elif known.run_id != run.run_id:
            self._client.delete_run(run.run_id)  # its creation seemed to fail

    def _update(self, record: TrialRecord, stand: Stand, parent: TrackedRun) -> None:
        """Make a trial's run say what its record said when it stood there."""
        status, epoch = stand
        run = self._runs.get(record.number)
        shown = run is not None and run.shows(record, status)
        if shown and status.ended:
            return  # closed, which is done last
        tags = {} if shown else status_tags(record, status)
        if run is None:
            run = self._runs[record.number] = self._create(record, parent, tags)
            shown, tags = run.shows(record, status), {}
        self._log(run, record, epoch, tags)
        if not shown:
            self._set_status(run, record, status)
        if status.ended:
            run.epochs = None  # there are as many as trials, and this is not needed

    def _group_run(self, name: str, parent: TrackedRun) -> TrackedRun:
        """The run of a group, made when first asked for."""
        if name not in self._groups:
            tags = {
                **self._origin(),
                "mlflow.parentRunId": parent.run_id,
                "orthotune.kind": "group",
                "orthotune.group": name,
            }
            created = self._client.create_run(
                str(self.experiment_id), tags=tags, run_name=name
            )
            self._groups[name] = TrackedRun(run_id=created.info.run_id, group=name)
        return self._groups[name]

    def _origin(self) -> dict[str, str]:
        """The tags that every run of the study has."""
        return {
            **{name: self._tags[name] for name in _COPIED_TAGS if name in self._tags},
            "orthotune.study": self._name,
            "orthotune.study_id": self.study_id,
        }

    def _create(
        self, record: TrialRecord, parent: TrackedRun, status: Mapping[str, str]
    ) -> TrackedRun:
        config = TrialConfig.from_dict(record.fields)
        name, above = f"trial-{record.number:04d}", parent
        if record.group is not None:
            label = record.label or f"seed {config.seed}"  # older records have none
            name = f"{record.group}, {label}"
            above = self._groups[record.group]
        tags = {
            **self._origin(),
            "mlflow.parentRunId": above.run_id,
            "orthotune.kind": "trial",
            "orthotune.trial": str(record.number),
            "orthotune.key": record.key,
            "orthotune.attempt": str(record.attempt),
            "seed": str(config.seed),
            **status,
        }
        if record.group is not None:
            tags["orthotune.group"] = record.group
        if record.reused is not None:
            tags["orthotune.reused"] = record.reused
        if record.validates is not None:
            tags["orthotune.validates"] = str(record.validates)
        created = self._client.create_run(
            str(self.experiment_id),
            start_time=record.started_ms,
            tags=tags,
            run_name=name,
        )
        return TrackedRun(
            run_id=created.info.run_id, number=record.number, attempt=record.attempt
        )

    def _log(
        self, run: TrackedRun, record: TrialRecord, until: int, tags: Mapping[str, str]
    ) -> None:
        """Log tags and what is new, whole epochs, each with the time it was reported.

        Of the fields those in effect: one that no trial reads would look like a cause.

        A call that failed may have been carried out: the same point at the same time is
        one point to MLflow.
        """
        if run.epochs is None:
            history = self._client.get_metric_history(run.run_id, SEEN)
            run.epochs = {metric.step for metric in history}
        new = sorted(e for e in set(record.history) - run.epochs if e <= until)
        reported = {epoch: record.history[epoch] for epoch in new}  # read only once
        # A population's epochs hold its settings, too.
        size = MAX_BATCH // max(map(len, reported.values()), default=1)
        params = []
        if not run.has_params:
            config = TrialConfig.from_dict(record.fields)
            params = param_entities(config.in_effect())
        if not new and (tags or params):
            self._client.log_batch(run.run_id, params=params, tags=tag_entities(tags))
        for start in range(0, len(new), size):
            epochs = new[start : start + size]
            metrics = [
                metric_entity(name, value, at_ms, epoch)
                for epoch, at_ms in ((e, record.reported_ms[e]) for e in epochs)
                for name, value in reported[epoch].items()
            ]
            first = start == 0  # one call for all that is small
            self._client.log_batch(
                run.run_id,
                metrics=metrics,
                params=params if first else (),
                tags=tag_entities(tags) if first else (),
            )
            run.epochs.update(epochs)
        run.has_params = True

    def _set_status(self, run: TrackedRun, record: TrialRecord, status: Status) -> None:
        wanted = RUN_STATUS[status]
        if wanted == "RUNNING":
            self._client.update_run(run.run_id, status="RUNNING")
        else:
            self._client.set_terminated(
                run.run_id, status=wanted, end_time=record.ended_ms
            )
        run.status, run.shown, run.ended_ms = wanted, str(status), record.ended_ms

    def _close(self, parent: TrackedRun, summary: Summary) -> None:
        """Bring the parent run up to date and end it."""
        known = summary.metrics.items() <= parent.metrics.items()
        ended_so = parent.status == summary.status == "FINISHED"
        if known and ended_so and not parent.incomplete:
            return
        # Its own step and time: the same summary twice is one.
        ended = [r for r in self._records.values() if r.status.ended]
        at = max((record.ended_ms or 0 for record in ended), default=now_ms())
        self._close_groups(parent, summary, at)
        metrics = [
            metric_entity(name, value, at, len(ended))
            for name, value in summary.metrics.items()
        ]
        marks = {INCOMPLETE: "files are missing"} if summary.artifacts else {}
        tags = tag_entities({**summary.tags, **marks})
        self._client.log_batch(parent.run_id, metrics=metrics, tags=tags)
        # Before the files, which may be refused, or take for ever: the mark says that
        # it is to be looked at again.
        self._client.set_terminated(parent.run_id, status=summary.status)
        parent.status = summary.status
        for path in summary.artifacts:
            self._client.log_artifact(parent.run_id, str(path))
        for mark in marks:
            self._client.delete_tag(parent.run_id, mark)

    def _close_groups(self, parent: TrackedRun, summary: Summary, at_ms: int) -> None:
        """Bring the runs of groups up to date and end them."""
        for group in summary.groups:
            run = self._group_run(group.name, parent)
            last = max(group.curve, default=0)
            # Of a later session it is another, beside this one: MLflow keeps both.
            curve = group.curve if summary.status != "KILLED" else {}
            metrics = [
                *(
                    metric_entity(self._metric, value, at_ms, epoch)
                    for epoch, value in curve.items()
                ),
                *(
                    metric_entity(name, v, at_ms, last)
                    for name, v in group.metrics.items()
                ),
            ]
            self._log_params(run, group.params)
            for start in range(0, len(metrics), MAX_BATCH):
                batch = metrics[start : start + MAX_BATCH]
                self._client.log_batch(run.run_id, metrics=batch)
            self._client.log_batch(run.run_id, tags=tag_entities(group.tags))
        for run in self._groups.values():
            self._client.set_terminated(run.run_id, status=summary.status)
            run.status = summary.status

    def _log_best(self, parent: TrackedRun, num_finished: int) -> None:
        """The best so far of the trials that had finished, against their number."""
        name = f"best_{self._metric}"
        with self._changed:
            first = self._num_ranked
            new = self._finished[first:num_finished]
        if not new or not self._ranked:
            return
        if parent.epochs is None:
            history = self._client.get_metric_history(parent.run_id, name)
            parent.epochs = {metric.step for metric in history}
        metrics = []
        # MLflow takes the last step's value for the latest: not that of a trial which
        # began last.
        for count, (ended_ms, _, value) in enumerate(new, first + 1):
            self._best = min(self._best, value)
            if count not in parent.epochs:
                metrics.append(metric_entity(name, self._best, ended_ms, count))
        self._num_ranked += len(new)
        for start in range(0, len(metrics), MAX_BATCH):
            batch = metrics[start : start + MAX_BATCH]
            self._client.log_batch(parent.run_id, metrics=batch)
        parent.epochs.update(metric.step for metric in metrics)

    def _rank(self, record: TrialRecord) -> None:
        """Put a finished trial among the others, in the order in which they ended."""
        place = (record.ended_ms or 0, record.number, record.last(self._metric))
        with self._changed:
            bisect.insort(self._finished, place)
            if self._finished[-1] != place:  # the best after it may be another
                self._rank_anew()

    def _rank_anew(self) -> None:
        self._best, self._num_ranked = float("inf"), 0

    def _log_params(self, run: TrackedRun, params: Mapping[str, object]) -> None:
        entries = param_entities(params)
        for start in range(0, len(entries), MAX_PARAMS):
            batch = entries[start : start + MAX_PARAMS]
            self._client.log_batch(run.run_id, params=batch)

    def _experiment(self) -> str:
        client, file = self._client, self._file
        if file is not None:
            follow(file, self._name)
        experiment = client.get_experiment_by_name(self._name)
        if experiment is None:  # a server decides for itself where artifacts are
            place = None if file is None else artifact_location(file, self._name)
            return client.create_experiment(self._name, artifact_location=place)
        if experiment.lifecycle_stage != "active":
            raise StudyError(
                f"`name` must not be a deleted MLflow experiment, but {self._name} is "
                "one. Restore it (mlflow experiments restore), or choose another name."
            )
        return experiment.experiment_id

    def _warn(self, err: Exception) -> None:
        if self.first_error is not None:
            return
        self.first_error = _first_line(err)
        note(
            f"warning: MLflow at {without_secrets(self.uri)} fails "
            f"({self.first_error}); training goes on, and what it misses is written "
            "when it answers."
        )


def _first_line(err: Exception) -> str:
    return without_secrets((str(err).splitlines() or [repr(err)])[0])


_COPIED_TAGS = (
    "mlflow.user",
    "mlflow.source.type",
    "mlflow.source.name",
    "mlflow.source.git.commit",
    "mlflow.source.git.branch",
    "mlflow.source.git.dirty",
    "host",
)
