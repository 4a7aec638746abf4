"""The one writer to MLflow: on the driver, in the background, in batches.

One experiment per study name, a parent run for the study, a child run per trial.
Nothing here blocks or breaks Ray's event loop: observers only put an operation in a
queue, a thread writes, and a failing store costs a warning, never the study.
"""

import logging
import os
import queue
import re
import shlex
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Before MLflow is imported: this writer retries by itself, a client that does so too
# would wait for minutes at every call to a dead server.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from orthotune.errors import StudyError
from orthotune.training.config import TrialConfig
from orthotune.tuning.journal import Status, TrialRecord

MAX_BATCH = 1000  # metrics in one call, MLflow's limit
MAX_LEFTOVERS = 10_000
MAX_PARAMS = 100  # params or tags in one call, likewise
RETRY_WAITS_S = (0.5, 2.0, 8.0)
CLOSING_WAIT_S = 120.0  # for what is left to write at the end of a study

RUN_STATUS = {
    Status.FINISHED: "FINISHED",
    Status.STOPPED: "KILLED",
    Status.INTERRUPTED: "KILLED",
    Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
}


def resolve_tracking_uri(uri: str) -> str:
    """A tracking URI as every process understands it.

    Raises:
        StudyError: If the URI is not one this program can write to.

    Example:
        >>> resolve_tracking_uri("sqlite:////tmp/mlflow.db")
        'sqlite:////tmp/mlflow.db'
        >>> resolve_tracking_uri("http://127.0.0.1:5000/")
        'http://127.0.0.1:5000'
    """
    if uri.startswith(("http://", "https://")):
        return uri.rstrip("/")
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).resolve()}"
    if re.match(r"(postgresql|mysql|mssql)(\+\w+)?://", uri):
        return uri
    raise StudyError(
        "--tracking-uri must be http(s)://..., sqlite:///FILE or a database URI, "
        f"but got {uri!r}. For a file on this machine: sqlite:///mlflow.db"
    )


def check_store(uri: str) -> None:
    """Refuse a store that cannot be there, before anything is started.

    Raises:
        StudyError: If `uri` is a server's and it does not answer within 5 seconds, or a
            file's in a folder that does not exist.
    """
    if uri.startswith("sqlite:///"):
        folder = Path(uri.removeprefix("sqlite:///")).parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise StudyError(
                "--tracking-uri must be a file in a folder that can be written to, but "
                f"{folder} is not. Create it, or choose another one."
            )
    if not uri.startswith("http"):
        return
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=5):
            return
    except (urllib.error.URLError, TimeoutError, ValueError) as err:
        reason = getattr(err, "reason", err)
        raise StudyError(
            f"--tracking-uri must be an MLflow server that answers, but {uri} does not "
            f"({reason}). Start it with: mlflow server --host 127.0.0.1 --port 5000"
        ) from err


@dataclass(kw_only=True)
class _Run:
    """What the writer thread knows of a trial's run, and what it has yet to write."""

    run_id: str | None = None
    metrics: list[Metric] = field(default_factory=list)


class Tracker:
    """Writes a study to MLflow; an observer of its journal.

    Args:
        uri: Where, as `resolve_tracking_uri` gives it.
        name: Name of the study, and of the experiment.
        metric: What the study minimizes; the parent run shows the best so far.

    Raises:
        StudyError: If the store cannot be written to.
    """

    def __init__(self, *, uri: str, name: str, metric: str) -> None:
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.uri = uri
        self._name = name
        self._metric = metric
        self._best = float("inf")
        self._trial_tags: dict[str, str] = {}
        self._runs: dict[str, _Run] = {}
        self._operations: queue.SimpleQueue[Callable[[], object] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(
            target=self._write_all, name="mlflow-writer", daemon=True
        )
        self.first_error: str | None = None
        self._failing = False
        try:
            self._client = MlflowClient(tracking_uri=uri)
            self.experiment_id = self._experiment()
        except StudyError:
            raise
        except Exception as err:  # MLflow's, SQLAlchemy's, Alembic's: no common base
            raise StudyError(
                f"--tracking-uri must be a store that can be written to, but {uri} "
                f"says: {str(err).splitlines()[0]}."
            ) from err

    def start(self, params: Mapping[str, object], tags: Mapping[str, str]) -> None:
        """Create the parent run and start the writer thread.

        Args:
            params: The study's settings.
            tags: Where it comes from; a few are copied to every trial's run.
        """
        self._parent = self._client.create_run(
            self.experiment_id, tags=dict(tags), run_name=self._name
        ).info.run_id
        self._log_params(self._parent, params)
        self._trial_tags = {
            **{name: tags[name] for name in _COPIED_TAGS if name in tags},
            "mlflow.parentRunId": self._parent,
            "orthotune.study": self._name,
            "orthotune.kind": "trial",
        }
        self._thread.start()

    def on_start(self, record: TrialRecord) -> None:
        """Open the trial's run, with its parameters."""
        started = _now()
        self._runs[record.trial_id] = _Run()
        self._operations.put(lambda: self._open(record, started))

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Log the epoch's metrics, and the study's best so far."""
        now = _now()
        metrics = [
            Metric(name, value, now, epoch)
            for name, value in record.history[epoch].items()
        ]
        run = self._runs[record.trial_id]
        self._operations.put(lambda: run.metrics.extend(metrics))

    def on_end(self, record: TrialRecord) -> None:
        """Close the trial's run as what it was."""
        ended = _now()
        self._operations.put(lambda: self._tag_end(record))
        self._operations.put(lambda: self._close(record, ended))
        if record.status == Status.FINISHED:
            self._best = min(self._best, record.last(self._metric))
            best = Metric(f"best_{self._metric}", self._best, ended, record.number)
            self._operations.put(
                lambda: self._client.log_batch(self._parent, metrics=[best])
            )

    def finish(
        self,
        *,
        status: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Sequence[Path],
    ) -> None:
        """Write what is left, the study's summary and files, and close its run.

        Args:
            status: FINISHED, FAILED or KILLED.
            metrics: The study's own metrics.
            tags: Tags of the parent run.
            artifacts: Files to keep with the parent run.
        """
        self._operations.put(lambda: self._summarize(metrics, tags))
        for path in artifacts:
            self._operations.put(
                lambda path=path: self._client.log_artifact(self._parent, str(path))
            )
        self._operations.put(self._close_leftovers)
        self._operations.put(
            lambda: self._client.set_terminated(self._parent, status=status)
        )
        self._operations.put(None)
        self._thread.join(CLOSING_WAIT_S)
        if self._thread.is_alive():
            self._warn(TimeoutError(f"not done within {CLOSING_WAIT_S:.0f} s"))

    def ui_command(self) -> str | None:
        """The command that starts the UI of this store; None for a server's."""
        if self.uri.startswith("http"):
            return None
        words = [sys.executable, "-m", "mlflow", "ui", "--port", "5000"]
        return shlex.join([*words, "--backend-store-uri", _without_password(self.uri)])

    def ui_address(self) -> str:
        """The address of the study's table of runs.

        Today's UI opens an experiment in its GenAI workspace, where trials are not
        shown; the address says which workspace.
        """
        server = self.uri if self.uri.startswith("http") else "http://127.0.0.1:5000"
        return (
            f"{server}/#/experiments/{self.experiment_id}"
            "/runs?workflowType=machine_learning"
        )

    def _experiment(self) -> str:
        experiment = self._client.get_experiment_by_name(self._name)
        if experiment is None:
            return self._client.create_experiment(
                self._name, artifact_location=self._artifact_location()
            )
        if experiment.lifecycle_stage != "active":
            raise StudyError(
                f"`name` must not be a deleted MLflow experiment, but {self._name} is "
                "one. Restore it (mlflow experiments restore), or choose another name."
            )
        return experiment.experiment_id

    def _artifact_location(self) -> str | None:
        """Beside a SQLite file, absolute; a server decides for itself."""
        if not self.uri.startswith("sqlite:///"):
            return None
        folder = Path(self.uri.removeprefix("sqlite:///")).parent
        return (folder / "mlartifacts" / self._name).as_uri()

    def _open(self, record: TrialRecord, started: int) -> None:
        config = TrialConfig.from_dict(record.fields).to_dict()
        tags = {
            **self._trial_tags,
            "orthotune.trial_id": record.trial_id,
            "seed": str(config["seed"]),
        }
        run = self._runs[record.trial_id]
        if run.run_id is None:  # a retry must not make a second one
            created = self._client.create_run(
                self.experiment_id,
                start_time=started,
                tags=tags,
                run_name=f"trial-{record.number:04d}",
            )
            run.run_id = created.info.run_id
        self._log_params(run.run_id, config)

    def _tag_end(self, record: TrialRecord) -> None:
        """Write what is left of a trial, and how it ended."""
        run = self._runs[record.trial_id]
        if run.run_id is None:  # its creation failed, and was reported
            return
        self._flush(run)
        tags = {"orthotune.status": str(record.status)}
        if record.status == Status.DIVERGED:
            tags["diverged"] = f"in epoch {record.epoch}"
        if record.error is not None:
            tags["error"] = record.error[:5000]
        self._client.log_batch(run.run_id, tags=_run_tags(tags))

    def _close(self, record: TrialRecord, ended: int) -> None:
        """End a trial's run, also where its last tags could not be written."""
        run_id = self._runs[record.trial_id].run_id
        if run_id is not None:
            status = RUN_STATUS[record.status]
            self._client.set_terminated(run_id, status=status, end_time=ended)
        del self._runs[record.trial_id]

    def _close_leftovers(self) -> None:
        """End the trials' runs whose own end could not be written."""
        leftovers = self._client.search_runs(
            [self.experiment_id],
            f"tags.`mlflow.parentRunId` = '{self._parent}' "
            "and attributes.status = 'RUNNING'",
            max_results=MAX_LEFTOVERS,
        )
        for run in leftovers:
            self._client.set_terminated(run.info.run_id, status="KILLED")

    def _summarize(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        now = _now()
        self._client.log_batch(
            self._parent,
            metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
            tags=_run_tags(tags),
        )

    def _log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        entries = [Param(name, str(value)[:6000]) for name, value in params.items()]
        for start in range(0, len(entries), MAX_PARAMS):
            self._client.log_batch(run_id, params=entries[start : start + MAX_PARAMS])

    def _flush(self, run: _Run) -> None:
        while run.metrics and run.run_id is not None:
            self._client.log_batch(run.run_id, metrics=run.metrics[:MAX_BATCH])
            del run.metrics[:MAX_BATCH]

    def _write_all(self) -> None:
        """The writer thread: operations in order; metrics when there is a pause."""
        while (operation := self._operations.get()) is not None:
            self._attempt(operation)
            if self._operations.empty():
                for run in list(self._runs.values()):
                    self._attempt(lambda run=run: self._flush(run))

    def _attempt(self, operation: Callable[[], object]) -> None:
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                operation()
                self._failing = False
                return
            except Exception as err:  # the study must outlive its log
                if wait_s is None or self._failing:  # while it fails, one try each
                    self._failing = True
                    self._warn(err)
                    return
                time.sleep(wait_s)

    def _warn(self, err: Exception) -> None:
        if self.first_error is None:
            self.first_error = str(err).splitlines()[0] if str(err) else repr(err)
            sys.stderr.write(
                f"orthotune: warning: MLflow at {self.uri} fails ({self.first_error}); "
                "training goes on, what it misses is in the study's folder.\n"
            )


_COPIED_TAGS = (
    "mlflow.user",
    "mlflow.source.type",
    "mlflow.source.name",
    "mlflow.source.git.commit",
    "mlflow.source.git.branch",
    "mlflow.source.git.dirty",
    "host",
)


def _without_password(uri: str) -> str:
    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:PASSWORD@", uri)


def _run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(name, value) for name, value in tags.items()]


def _now() -> int:
    return int(time.time() * 1000)
