"""A study from start to end: Ray Tune runs it, a journal keeps it, MLflow shows it."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

# Before Ray is imported: we keep our own log, and stop by our own handler, so that the
# runs in MLflow are closed on Ctrl-C.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from orthotune.errors import StudyError
from orthotune.training.progress import ProgressLine, duration
from orthotune.tuning.figure import draw_study
from orthotune.tuning.journal import Journal, Status, TrialRecord, equal_budget
from orthotune.tuning.provenance import provenance
from orthotune.tuning.report import best_table, counts, write_best, write_trials
from orthotune.tuning.searcher import OptunaSearcher
from orthotune.tuning.settings import Study
from orthotune.tuning.tracking import Tracker, check_store
from orthotune.tuning.trainable import OrthoTrainable


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a study runs and what it writes to.

    Args:
        storage: Folder or URI under which the study keeps its files.
        tracking_uri: MLflow store, as `resolve_tracking_uri` gives it.
        address: Ray cluster to join, or None for one on this machine.
    """

    storage: str
    tracking_uri: str
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a study came to.

    Args:
        records: Every trial.
        best: The equal-budget trials, best first.
        table: The best of them as text.
        best_file: Path of the best configuration; None if no trial can be compared.
        figure: Path of the figure.
        ui_command: The command that opens MLflow.
        ui_address: The address of this study's runs.
        interrupted: Whether Ctrl-C ended it.
        elapsed_s: Seconds from start to end.
        tracking_error: The first failure of MLflow, if there was one.
    """

    records: list[TrialRecord]
    best: list[TrialRecord]
    table: str
    best_file: Path | None
    figure: Path
    ui_command: str
    ui_address: str
    interrupted: bool
    elapsed_s: float
    tracking_error: str | None


def run_study(study: Study, places: Places) -> Outcome:
    """Run a study to its end, and close everything whatever happens.

    Raises:
        StudyError: If MLflow or the Ray cluster cannot be reached; nothing is started.
    """
    started = time.monotonic()
    _check_storage(study, places)
    check_store(places.tracking_uri)
    stop = _StopOnInterrupt()
    with _ray(places.address), stop.installed():
        tags = provenance()
        tracker = Tracker(
            uri=places.tracking_uri,
            name=study.settings.name,
            metric=study.settings.metric,
        )
        progress = _Progress(study, started)
        journal = Journal(study.settings.search.max_epochs, [tracker, progress])
        tracker.start(_study_params(study), _study_tags(study, tags))
        try:
            _tuner(study, places, journal, stop).fit()
        finally:
            progress.close()
            journal.interrupted = stop.requested
            journal.close()
            outcome = _conclude(study, places, journal, tracker, tags, started)
    return outcome


def _check_storage(study: Study, places: Places) -> None:
    """Refuse a folder that cannot be written to before anything is started."""
    folder = study_folder(study, places.storage)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise StudyError(
            f"--storage must be a folder that can be written to, but {existing} is "
            "not. Choose another one."
        )


def _tuner(
    study: Study, places: Places, journal: Journal, stop: "_StopOnInterrupt"
) -> tune.Tuner:
    resources = study.settings.resources
    search = study.settings.search
    stamp = time.strftime("%Y%m%d-%H%M%S")
    stop.journal = journal
    return tune.Tuner(
        tune.with_resources(
            OrthoTrainable, {"cpu": resources.cpus, "gpu": resources.gpus}
        ),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearcher(study),
            scheduler=_scheduler(study),
            num_samples=search.num_trials,
            time_budget_s=search.time_budget_s,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"{study.settings.name}/ray-{stamp}",
            storage_path=_storage_uri(places.storage),
            stop=stop,
            callbacks=[journal],
            verbose=0,
        ),
    )


def _scheduler(study: Study) -> TrialScheduler:
    search = study.settings.search
    if search.scheduler == "none":
        return FIFOScheduler()
    # On our own count of epochs: Ray's grows again after a restore.
    return AsyncHyperBandScheduler(
        time_attr="epoch",
        metric=study.settings.metric,
        mode=study.settings.mode,
        max_t=search.max_epochs,
        grace_period=search.grace_epochs,
        reduction_factor=search.reduction_factor,
    )


def _storage_uri(storage: str) -> str:
    return storage if "://" in storage else str(Path(storage).resolve())


def study_folder(study: Study, storage: str) -> Path:
    """Where the table, the figure and best.yaml go: local, also for remote storage."""
    root = Path("studies") if "://" in storage else Path(storage)
    return root.resolve() / study.settings.name


def _conclude(
    study: Study,
    places: Places,
    journal: Journal,
    tracker: Tracker,
    tags: dict[str, str],
    started: float,
) -> Outcome:
    """Write the study's files and close MLflow."""
    metric, records = study.settings.metric, journal.records
    folder = study_folder(study, places.storage)
    folder.mkdir(parents=True, exist_ok=True)
    best = equal_budget(records, metric)
    figure, trials = folder / "study.png", folder / "trials.jsonl"
    best_file = folder / "best.yaml" if best else None
    parameters = study.space.parameters
    write_trials(trials, records)
    draw_study(
        figure,
        name=study.settings.name,
        metric=metric,
        parameters=parameters,
        records=records,
    )
    summary = {f"num_{status}": float(n) for status, n in counts(records).items()}
    if best_file is not None:
        commit = tags.get("mlflow.source.git.commit")
        write_best(
            best_file, best[0], study=study.settings.name, metric=metric, commit=commit
        )
        summary[metric] = best[0].last(metric)
    table = best_table(best, metric, parameters)
    tracker.finish(
        status=_status(journal, best),
        metrics=summary,
        tags={"mlflow.note.content": f"```\n{table}\n```"},
        artifacts=[
            path for path in (Path(study.path), best_file, figure, trials) if path
        ],
    )
    return Outcome(
        records=records,
        best=best,
        table=table,
        best_file=best_file,
        figure=figure,
        ui_command=tracker.ui_command(),
        ui_address=tracker.ui_address(),
        interrupted=journal.interrupted,
        elapsed_s=time.monotonic() - started,
        tracking_error=tracker.first_error,
    )


def _status(journal: Journal, best: list[TrialRecord]) -> str:
    if journal.interrupted:
        return "KILLED"
    return "FINISHED" if best else "FAILED"


def _study_params(study: Study) -> dict[str, object]:
    search = study.settings.search
    space = {
        f"space.{parameter.name}": parameter.describe()
        for parameter in study.space.parameters
    }
    fixed = {f"fixed.{name}": value for name, value in study.space.fixed.items()}
    settings = {f"search.{name}": value for name, value in vars(search).items()}
    return {**settings, **space, **fixed}


def _study_tags(study: Study, tags: dict[str, str]) -> dict[str, str]:
    return {
        **tags,
        "seed": str(study.settings.search.seed),
        "orthotune.study": study.settings.name,
        "orthotune.kind": "study",
    }


@contextmanager
def _ray(address: str | None) -> Iterator[None]:
    """A Ray runtime: the cluster at `address`, or one of our own on this machine."""
    if ray.is_initialized():  # the user's own, in a notebook: left as it is
        yield
        return
    try:
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, ValueError) as err:
        raise StudyError(
            f"--address must be a Ray cluster that answers, but got {address!r} "
            f"({str(err).splitlines()[0]}). Start one with: ray start --head"
        ) from err
    try:
        yield
    finally:
        ray.shutdown()


class _StopOnInterrupt(tune.Stopper):
    """Ends the study on the first Ctrl-C; the second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False
        self.journal: Journal | None = None

    def __getstate__(self) -> dict[str, object]:
        """As new: Ray writes its stoppers to disk."""
        return {"requested": False, "journal": None}

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.requested

    @contextmanager
    def installed(self) -> Iterator[None]:
        """With our handler for SIGINT and SIGTERM in place of the previous ones."""
        previous = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self.journal is not None:
            self.journal.interrupted = True


class _Progress:
    """The line that says how far the study is; an observer of its journal."""

    def __init__(self, study: Study, started: float) -> None:
        self._metric = study.settings.metric
        self._total = int(min(study.settings.search.num_trials, study.space.size))
        self._started = started
        self._records: list[TrialRecord] = []
        self._line = ProgressLine()

    def on_start(self, record: TrialRecord) -> None:
        """Count a trial."""
        self._records.append(record)
        self._show()

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Show that something moves."""
        self._show()

    def on_end(self, record: TrialRecord) -> None:
        """Count its end."""
        self._show()

    def close(self) -> None:
        """End the line."""
        self._line.close()

    def _ended(self) -> list[TrialRecord]:
        return [r for r in self._records if r.status != Status.RUNNING]

    def _show(self) -> None:
        ended = self._ended()
        tally = counts(self._records)
        best = equal_budget(ended, self._metric)
        elapsed = time.monotonic() - self._started
        left = "?"
        if ended:
            left = duration(elapsed / len(ended) * (self._total - len(ended)))
        self._line.show(
            f"{len(ended)}/{self._total} trials done"
            f", {tally.get(Status.RUNNING, 0)} running"
            f", {tally.get(Status.STOPPED, 0)} stopped early"
            f", {tally.get(Status.DIVERGED, 0)} diverged"
            + (
                f"  best {self._metric} {best[0].last(self._metric):.4f}"
                if best
                else ""
            )
            + f"  {left} left",
            final=len(ended) == self._total,
        )
