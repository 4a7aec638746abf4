"""The runs of one study in MLflow: found, made, adopted, brought up to date."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orthotune.config.trial import TrialConfig
from orthotune.errors import StudyError
from orthotune.record.journal import now_ms
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.tracking.artifact_locations import artifact_location, follow
from orthotune.tracking.run_content import (
    group_tags,
    origin_tags,
    study_tags,
    trial_run,
)
from orthotune.tracking.run_search import found_runs, of_study
from orthotune.tracking.sqlite_store import prepare_sqlite
from orthotune.tracking.sqlite_uri import sqlite_file
from orthotune.tracking.tracked_run import (
    AUDIT,
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
from orthotune.tracking.ui_view import View

# MLflow takes a second to import: what writes does so, while Ray starts.
if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

MAX_BATCH = 1000  # metrics in one call, MLflow's limit
MAX_PARAMS = 100  # params or tags in one call, likewise


@dataclass(frozen=True, kw_only=True)
class StudyIdentity:
    """What MLflow is told of a study at its start.

    Args:
        name: Name of the study, and of the experiment.
        study_id: Tells this study from an earlier one of the same name.
        params: The study's settings.
        tags: Where it comes from; a few are copied to every trial's run.
        view: What the UI opens on.
    """

    name: str
    study_id: str
    params: Mapping[str, object]
    tags: Mapping[str, str]
    view: View


class StudyRuns:
    """Finds and makes the runs of one study, and brings them to where trials stand.

    Args:
        uri: The store, as `resolve_tracking_uri` gives it.
        study: The study.
        records: Its trials by number, as they become known.
        answered: Called when the store has answered one of many calls.

    Attributes:
        experiment_id: MLflow's; None before the first connection.
        parent_id: Of the study's run, also while that is looked for again.
        trials: The trials' runs, by number.
    """

    def __init__(
        self,
        uri: str,
        study: StudyIdentity,
        records: Mapping[int, TrialRecord],
        answered: Callable[[], None],
    ) -> None:
        self._uri = uri
        self._file: Path | None = sqlite_file(uri)
        self._study = study
        self._records = records
        self._answered = answered
        self.experiment_id: str | None = None
        self.parent_id: str | None = None
        self.trials: dict[int, TrackedRun] = {}
        self._groups: dict[str, TrackedRun] = {}
        self._parent: TrackedRun | None = None

    @cached_property
    def client(self) -> "MlflowClient":
        """Made at first use: for a database, this opens it, which may fail."""
        if self._file is not None:
            prepare_sqlite(self._file)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri)

    def connect(self) -> TrackedRun:
        """The parent run; at first and after a failure, find or create the runs."""
        if self._parent is not None:
            return self._parent
        self.experiment_id = self._experiment()
        view = self._study.view.tag(now_ms())
        self.client.set_experiment_tag(self.experiment_id, *view)
        # Oldest first, so that of two runs of one trial the first is kept.
        asked = of_study(self._study.study_id)
        known = found_runs(
            self.client, [self.experiment_id], asked, answered=self._answered
        )
        runs = [existing_run(run) for run in known]
        there = {run.run_id for run in runs}  # others have been deleted meanwhile
        self.trials = {n: run for n, run in self.trials.items() if run.run_id in there}
        self._groups = {n: r for n, r in self._groups.items() if r.run_id in there}
        for run in runs:
            if run.number is not None:
                self._adopt(run, run.number)
            elif run.group is not None:
                self._groups.setdefault(run.group, run)
        parents = [run for run in runs if run.number is None and run.group is None]
        if parents:
            self._parent = parents[0]
            self.parent_id = self._parent.run_id
            if MIXED_CODE in self._study.tags:
                run_id, mixed = self._parent.run_id, self._study.tags[MIXED_CODE]
                self.client.set_tag(run_id, MIXED_CODE, mixed)
            if not self._parent.has_params:
                self.log_params(self._parent, self._study.params)
            return self._parent
        return self._new_parent()

    def _new_parent(self) -> TrackedRun:
        name, study_id = self._study.name, self._study.study_id
        tags = study_tags(self._study.tags, name, study_id)
        created = self.client.create_run(
            str(self.experiment_id), tags=tags, run_name=name
        )
        parent = TrackedRun(run_id=created.info.run_id)
        self.parent_id = parent.run_id
        self.log_params(parent, self._study.params)
        self._parent = parent
        return parent

    def _adopt(self, run: TrackedRun, number: int) -> None:
        """Take over a run of an earlier session, unless another is the trial's."""
        record, known = self._records.get(number), self.trials.get(number)
        if record is None:
            if run.status == "RUNNING":
                self.client.set_tag(run.run_id, "orthotune.status", "orphan")
                self.client.set_terminated(run.run_id, status="KILLED")
        elif run.attempt != record.attempt:
            self.client.delete_run(run.run_id)  # of before a repair
        elif known is None:
            self.trials[number] = run
        elif known.run_id != run.run_id:
            self.client.delete_run(run.run_id)  # its creation seemed to fail

    def update(self, record: TrialRecord, status: Status, epoch: int) -> None:
        """Make a trial's run say what its record said at a status and an epoch.

        Args:
            record: The trial.
            status: Its status then.
            epoch: The epochs it had reported.
        """
        run = self.trials.get(record.number)
        shown = run is not None and run.shows(record, status)
        if shown and status.ended:
            return  # closed, which is done last
        tags = {} if shown else status_tags(record, status)
        if run is None:
            run = self.trials[record.number] = self._create(record, tags)
            shown, tags = run.shows(record, status), {}
        self._log(run, record, epoch, tags)
        if status.ended:
            self._log_audit(run, record)
        if not shown:
            self._set_status(run, record, status)
        if status.ended:
            run.epochs = None  # there are as many as trials, and this is not needed

    def group(self, name: str) -> TrackedRun:
        """The run of a group, made when first asked for."""
        if name not in self._groups:
            tags = group_tags(self._origin(), str(self.parent_id), name)
            created = self.client.create_run(
                str(self.experiment_id), tags=tags, run_name=name
            )
            self._groups[name] = TrackedRun(run_id=created.info.run_id, group=name)
        return self._groups[name]

    def _origin(self) -> dict[str, str]:
        """The tags that every run of the study has."""
        study = self._study
        return origin_tags(study.tags, study.name, study.study_id)

    def _create(self, record: TrialRecord, status: Mapping[str, str]) -> TrackedRun:
        config = TrialConfig.from_dict(record.fields)
        above = str(self.parent_id)
        if record.group is not None:
            above = self._groups[record.group].run_id
        name, tags = trial_run(record, config.seed, above)
        created = self.client.create_run(
            str(self.experiment_id),
            start_time=record.started_ms,
            tags={**self._origin(), **tags, **status},
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
            history = self.client.get_metric_history(run.run_id, SEEN)
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
            self.client.log_batch(run.run_id, params=params, tags=tag_entities(tags))
        for start in range(0, len(new), size):
            epochs = new[start : start + size]
            metrics = [
                metric_entity(name, value, at_ms, epoch)
                for epoch, at_ms in ((e, record.reported_ms[e]) for e in epochs)
                for name, value in reported[epoch].items()
            ]
            first = start == 0  # one call for all that is small
            self.client.log_batch(
                run.run_id,
                metrics=metrics,
                params=params if first else (),
                tags=tag_entities(tags) if first else (),
            )
            run.epochs.update(epochs)
        run.has_params = True

    def _log_audit(self, run: TrackedRun, record: TrialRecord) -> None:
        """Log what an audit saw, by names of its own: else it would be ranked."""
        at_ms = record.ended_ms or 0
        metrics = [
            metric_entity(f"{AUDIT}{name}", value, at_ms, epoch)
            for epoch, values in (record.audit or {}).items()
            for name, value in values.items()
        ]
        self.log_metrics(run, metrics)

    def _set_status(self, run: TrackedRun, record: TrialRecord, status: Status) -> None:
        wanted = RUN_STATUS[status]
        if wanted == "RUNNING":
            self.client.update_run(run.run_id, status="RUNNING")
        else:
            self.client.set_terminated(
                run.run_id, status=wanted, end_time=record.ended_ms
            )
        run.status, run.shown, run.ended_ms = wanted, str(status), record.ended_ms

    def log_params(self, run: TrackedRun, params: Mapping[str, object]) -> None:
        """Log parameters, as many at once as MLflow takes."""
        entries = param_entities(params)
        for start in range(0, len(entries), MAX_PARAMS):
            batch = entries[start : start + MAX_PARAMS]
            self.client.log_batch(run.run_id, params=batch)

    def look_again(self) -> None:
        """Find the runs anew: a call may have made one, and its answer been lost."""
        self._parent = None

    def log_metrics(self, run: TrackedRun, metrics: "Sequence[Metric]") -> None:
        """Log metrics, as many at once as MLflow takes."""
        for start in range(0, len(metrics), MAX_BATCH):
            batch = metrics[start : start + MAX_BATCH]
            self.client.log_batch(run.run_id, metrics=batch)

    def end_groups(self, status: str) -> None:
        """End the runs of all groups."""
        for run in self._groups.values():
            self.client.set_terminated(run.run_id, status=status)
            run.status = status

    def _experiment(self) -> str:
        client, file = self.client, self._file
        if file is not None:
            follow(file, self._study.name)
        experiment = client.get_experiment_by_name(self._study.name)
        if experiment is None:  # a server decides for itself where artifacts are
            place = None if file is None else artifact_location(file, self._study.name)
            return client.create_experiment(self._study.name, artifact_location=place)
        if experiment.lifecycle_stage != "active":
            raise StudyError(
                "`name` must not be a deleted MLflow experiment, but "
                f"{self._study.name} is one. Restore it (mlflow experiments restore), "
                "or choose another name."
            )
        return experiment.experiment_id
