"""A study from start to end: Ray Tune runs it, a journal keeps it, MLflow shows it."""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Before Ray is imported: we keep our own log, and stop by our own handler, so that the
# runs in MLflow are closed on Ctrl-C.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Ray's own tables, beside ours

import pyarrow.fs
import ray
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from orthotune.errors import StudyError
from orthotune.tuning.figure import draw_study
from orthotune.tuning.interrupt import StopOnInterrupt
from orthotune.tuning.journal import Journal, TrialRecord, equal_budget
from orthotune.tuning.provenance import provenance
from orthotune.tuning.report import best_table, counts, write_best, write_trials
from orthotune.tuning.searcher import OptunaSearcher
from orthotune.tuning.settings import Study
from orthotune.tuning.status_line import StatusLine
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
        ui_command: The command that starts MLflow's UI; None if a server runs.
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
    ui_command: str | None
    ui_address: str
    interrupted: bool
    elapsed_s: float
    tracking_error: str | None


def run_study(study: Study, places: Places) -> Outcome:
    """Run a study to its end, and close everything whatever happens.

    Raises:
        StudyError: If the storage, MLflow or the Ray cluster cannot be used; nothing
            is started then.
    """
    started = time.monotonic()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = study_folder(study, places.storage) / stamp
    _check_storage(folder, places.storage)
    check_store(places.tracking_uri)
    stop = StopOnInterrupt()
    progress = StatusLine(study, started)
    with _ray(study, places.address), stop.installed():
        tags = provenance()
        tracker = Tracker(
            uri=places.tracking_uri,
            name=study.settings.name,
            metric=study.settings.metric,
        )
        journal = Journal(study.settings.search.max_epochs, [tracker, progress])
        stop.on_request = journal.interrupt
        if stop.requested:
            journal.interrupt()
        tracker.start(_study_params(study), _study_tags(study, tags))
        completed = False
        try:
            _tuner(study, places, journal, stop, stamp).fit()
            completed = True
        finally:  # also when Ray itself fails: no run stays open
            progress.close()
            files = _conclude(study, folder, journal, tracker, tags, completed)
    return Outcome(
        records=journal.records,
        best=files.best,
        table=files.table,
        best_file=files.best_file,
        figure=files.figure,
        ui_command=tracker.ui_command(),
        ui_address=tracker.ui_address(),
        interrupted=journal.interrupted,
        elapsed_s=time.monotonic() - started,
        tracking_error=tracker.first_error,
    )


def _check_storage(folder: Path, storage: str) -> None:
    """Refuse a storage that cannot be written to before anything is started."""
    if "://" in storage:
        try:
            pyarrow.fs.FileSystem.from_uri(storage)
        except (OSError, ValueError) as err:  # ArrowInvalid is a ValueError
            raise StudyError(
                "--storage must be a folder or a URI that can be opened, but got "
                f"{storage!r} ({str(err).splitlines()[0]})."
            ) from err
    existing = next(path for path in folder.parents if os.path.exists(path))
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise StudyError(
            f"--storage must be a folder that can be written to, but {existing} is "
            "not. Choose another one."
        )


def _tuner(
    study: Study, places: Places, journal: Journal, stop: StopOnInterrupt, stamp: str
) -> tune.Tuner:
    resources = study.settings.resources
    search = study.settings.search
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
            name=f"{study.settings.name}/{stamp}/ray",
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


@dataclass(frozen=True, kw_only=True)
class _Files:
    """What a study has written, and what it is about."""

    best: list[TrialRecord]
    table: str
    best_file: Path | None
    figure: Path
    trials: Path


def _conclude(
    study: Study,
    folder: Path,
    journal: Journal,
    tracker: Tracker,
    tags: dict[str, str],
    completed: bool,
) -> _Files:
    """Write the study's files and close MLflow, also where a disk is full."""
    files = None
    try:
        journal.close()
        files = _write_files(study, folder, journal, tags)
        return files
    finally:
        _close_tracking(study, journal, tracker, files, completed)


def _write_files(
    study: Study, folder: Path, journal: Journal, tags: dict[str, str]
) -> _Files:
    metric, parameters = study.settings.metric, study.space.parameters
    folder.mkdir(parents=True, exist_ok=True)
    best = equal_budget(journal.records, metric)
    files = _Files(
        best=best,
        table=best_table(best, metric, parameters),
        best_file=folder / "best.yaml" if best else None,
        figure=folder / "study.png",
        trials=folder / "trials.jsonl",
    )
    write_trials(files.trials, journal.records)
    draw_study(
        files.figure,
        name=study.settings.name,
        metric=metric,
        parameters=parameters,
        records=journal.records,
    )
    if files.best_file is not None:
        write_best(
            files.best_file,
            best[0],
            study=study.settings.name,
            metric=metric,
            commit=tags.get("mlflow.source.git.commit"),
        )
    return files


def _close_tracking(
    study: Study,
    journal: Journal,
    tracker: Tracker,
    files: _Files | None,
    completed: bool,
) -> None:
    tally = counts(journal.records)
    metrics = {f"num_{status}": float(number) for status, number in tally.items()}
    notes, kept = {}, [Path(study.path)]
    if files is not None:
        notes["mlflow.note.content"] = f"```\n{files.table}\n```"
        kept += [files.figure, files.trials]
    if files is not None and files.best_file is not None:
        metrics[study.settings.metric] = files.best[0].last(study.settings.metric)
        kept.append(files.best_file)
    status = "FINISHED" if completed and files and files.best else "FAILED"
    tracker.finish(
        status="KILLED" if journal.interrupted else status,
        metrics=metrics,
        tags=notes,
        artifacts=kept,
    )


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
def _ray(study: Study, address: str | None) -> Iterator[None]:
    """A Ray runtime: the cluster at `address`, or one of our own on this machine."""
    if ray.is_initialized():  # the user's own, in a notebook: left as it is
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if address is not None:
        _check_address(address)
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, ValueError, RuntimeError) as err:
        raise StudyError(
            f"--address must be a Ray cluster that answers, but got {address!r} "
            f"({str(err).splitlines()[0]}). Start one with: ray start --head"
        ) from err
    try:
        if address is None:
            _check_resources(study)
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse what is no cluster within seconds; Ray itself tries for minutes."""
    if address in ("auto", "local"):
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdigit():
        raise StudyError(
            f"--address must be HOST:PORT or auto, but got {address!r}. "
            "(Ray Client, ray://, cannot run a study: use `ray job submit`.)"
        )
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as err:
        raise StudyError(
            f"--address must be a Ray cluster that answers, but got {address!r} "
            f"({err}). Start one with: ray start --head"
        ) from err


def _check_resources(study: Study) -> None:
    """Refuse a trial that this machine can never hold: it would wait for ever."""
    here = ray.cluster_resources()
    resources = study.settings.resources
    for name, asked in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        if asked > here.get(name, 0):
            raise StudyError(
                f"`resources.{name.lower()}s` must be at most what this machine has, "
                f"{here.get(name, 0):g}, but got {asked:g}. Lower it (--set "
                f"resources.{name.lower()}s=...), or give the --address of a cluster."
            )
