"""A study from start to end, in as many sessions as it takes.

The folder of a study:

================ ===============================================================
`record.jsonl`   the event log, from which everything else follows
`lock`           held by the one driver
`checkpoints/`   the live trials' latest, and the best, under the study's id
`best.yaml`, ... what is left for people (`report.py`)
================ ===============================================================

The record is our own file, and not what Ray keeps of an experiment: Ray's snapshots lag
behind by seconds, are pickles, leave out the scheduler, and cannot be continued with
more trials. Every session is a new Tuner over the trials that are left; searcher,
scheduler, table and MLflow are brought to where the record says they stood.
"""

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pyarrow.fs
from ray import tune

from orthotune.errors import StudyError, StudyStoppedError, out_of_room
from orthotune.training.config import TrialConfig
from orthotune.tuning.callback import WORKER_DEATHS, JournalCallback
from orthotune.tuning.checkpoints import (
    CheckpointFolder,
    CheckpointKeeper,
    checkpoint_name,
)
from orthotune.tuning.environment import prepare
from orthotune.tuning.event_log import EventLog, read_events
from orthotune.tuning.identity import (
    Definition,
    Fingerprints,
    definition,
    differences,
    trial_key,
)
from orthotune.tuning.journal import Journal, Status, TrialRecord, now_ms
from orthotune.tuning.lock import study_lock
from orthotune.tuning.population import (
    missing_validations,
    population,
    population_scheduler,
    settings_at,
)
from orthotune.tuning.provenance import provenance
from orthotune.tuning.report import counts, divergence_rate
from orthotune.tuning.runtime import check_shared, ray_runtime
from orthotune.tuning.scheduler import Replay, build_scheduler
from orthotune.tuning.searcher import OptunaSearcher
from orthotune.tuning.settings import COPIES_KEPT, SMALLEST_POPULATION, Study
from orthotune.tuning.status_line import StatusLine
from orthotune.tuning.stopper import StudyStopper, all_failed_alike
from orthotune.tuning.store_draft import store_draft
from orthotune.tuning.tracking import (
    Group,
    Summary,
    Tracker,
    check_store,
    resolve_tracking_uri,
)
from orthotune.tuning.worker import STUDY, StudyTrainable, assignment, name_of

FORMAT = 1
PROBE_BYTES = 65536
MAX_FITS = 20


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

    @classmethod
    def of(cls, storage: str, tracking_uri: str, address: str | None) -> "Places":
        """The places a user names.

        Raises:
            StudyError: If the tracking URI is not one this program can write to.
        """
        uri = resolve_tracking_uri(tracking_uri)
        return cls(storage=storage, tracking_uri=uri, address=address)


class Written(Protocol):
    """What a study leaves for people, whoever wrote it."""

    @property
    def worked(self) -> bool:
        """Whether there is a result."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the parent run shows."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """Further tags of the parent run."""
        ...

    @property
    def groups(self) -> Sequence[Group]:
        """What the runs of groups of trials show."""
        ...

    @property
    def note(self) -> str:
        """The description of the parent run, in Markdown."""
        ...

    @property
    def paths(self) -> Sequence[Path]:
        """The files."""
        ...


R = TypeVar("R", bound=Written)

Writer = Callable[[Study, Path, Sequence[TrialRecord], str | None], R]
"""Writes the files of a study: its folder, its trials, the commit of the code."""


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[R]):
    """What a study has come to at the end of a session.

    Args:
        records: Every trial.
        report: What was written for people.
        finished: Whether nothing is left to run.
        interrupted: Whether Ctrl-C ended the session.
        trace: The traceback of an error that all trials had in common.
        spent_s: Seconds of all sessions.
        ui_command: The command that starts MLflow's UI; None if a server runs.
        ui_address: The address of this study's runs.
        tracking_error: Why MLflow misses something, if it does.
    """

    records: list[TrialRecord]
    report: R
    finished: bool
    interrupted: bool
    trace: str | None
    spent_s: float
    ui_command: str | None
    ui_address: str
    tracking_error: str | None


def run_study(
    study: Study, places: Places, fingerprints: Fingerprints, write: Writer[R]
) -> Outcome[R]:
    """Begin a study, or continue it, or say what it came to; close everything.

    Args:
        study: The study.
        places: Where it runs.
        fingerprints: Of every data set it names.
        write: Writes what it leaves for people, at the end of the session.

    Raises:
        StudyError: If the storage, MLflow or the Ray cluster cannot be used, if the
            study of this name asks another question, or runs already; nothing is
            changed then.
        StudyStoppedError: If it cannot go on, as on a full disk; what is done is kept.
    """
    folder = study_folder(study, places.storage)
    _check_storage(folder, places.storage)
    asked = definition(study, fingerprints)
    stopper = StudyStopper()
    prepare()
    with contextlib.ExitStack() as stack:
        log = _continued(study, folder, asked, stack)
        # A server that a running study has lost is waited for; not so a new one.
        if log is None or not places.tracking_uri.startswith("http"):
            check_store(places.tracking_uri)
        journal = None if log is None else _journal(study, log)
        finished = journal is not None and _finished(study, journal)
        tags = provenance()
        study_id = log.events[0]["id"] if log is not None else uuid.uuid4().hex[:12]
        tracker = _tracker(study, places, study_id, tags)
        # A new store is made while Ray starts.
        draft = store_draft(places.tracking_uri, wanted=log is None)
        use_draft = stack.enter_context(draft)
        slots = None
        if not finished:
            slots = stack.enter_context(ray_runtime(study, places.address))
            check_shared(places.tracking_uri)
        stack.enter_context(stopper.installed())  # Ray has put its own handlers there
        if log is None:
            log = _begun(folder, study_id, asked, stack)
            use_draft()
            _connect(tracker, folder, log)
        return _Session(
            study=study,
            places=places,
            fingerprints=fingerprints,
            folder=folder,
            journal=_journal(study, log) if journal is None else journal,
            tracker=tracker,
            stopper=stopper,
            slots=slots,
            write=write,
        ).run(tags, finished=finished)


def study_folder(study: Study, storage: str) -> Path:
    """The folder of a study: local, also for remote storage."""
    root = Path("studies") if "://" in storage else Path(storage)
    return root.resolve() / study.settings.name


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
    around = [folder, *folder.parents]
    existing = next(path for path in around if os.path.exists(path))
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise StudyError(
            f"--storage must be a folder that can be written to, but {existing} is "
            "not. Choose another one."
        )


def _continued(
    study: Study, folder: Path, asked: Definition, stack: contextlib.ExitStack
) -> EventLog | None:
    """The locked log of a study that has begun; None for a new one."""
    record = folder / "record.jsonl"
    events, _ = read_events(record)
    if not events:
        return None
    stack.enter_context(study_lock(folder / "lock"))
    if events[0].get("format") != FORMAT:
        raise StudyError(
            f"{record} must be a record of format {FORMAT}, but is not: another "
            "version of orthotune wrote it. Start a new study with --name."
        )
    changed = differences(asked, events[0]["definition"])
    if changed:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise StudyError(
            f"{study.path}: the study {study.settings.name} must go on as it began, "
            f"but {changed[0]}{more}. Put it back, or start a new study with --name."
        )
    log = EventLog(record)
    stack.callback(log.close)
    return log


def _begun(
    folder: Path, study_id: str, asked: Definition, stack: contextlib.ExitStack
) -> EventLog:
    """The locked log of a new study."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StudyError(
            f"--storage must be writable, but {folder}: {err.strerror}."
        ) from err
    stack.enter_context(study_lock(folder / "lock"))
    log = EventLog(folder / "record.jsonl")
    stack.callback(log.close)
    if log.events:
        raise StudyError(
            f"Only one process may begin a study, but another has begun the one in "
            f"{folder} meanwhile. The same command continues it."
        )
    header = {"event": "study", "format": FORMAT, "id": study_id, "definition": asked}
    log.append({**header, "time": now_ms()}, durable=True)
    return log


def _connect(tracker: Tracker, folder: Path, log: EventLog) -> None:
    """Open the store of a new study, or leave nothing of the study."""
    try:
        tracker.connect()
    except StudyError:
        log.path.unlink()
        (folder / "lock").unlink()
        with contextlib.suppress(OSError):  # there is something of the user's in it
            folder.rmdir()
            folder.parent.rmdir()
        raise


def _journal(study: Study, log: EventLog) -> Journal:
    return Journal(log, study.settings.search.max_epochs)


def _tracker(
    study: Study, places: Places, study_id: str, tags: dict[str, str]
) -> Tracker:
    return Tracker(
        uri=places.tracking_uri,
        name=study.settings.name,
        study_id=study_id,
        metric=study.settings.metric,
        params=_study_params(study),
        tags={**tags, "seed": str(study.settings.search.seed)},
    )


def _study_params(study: Study) -> dict[str, object]:
    if study.listed:
        return dict(study.question)
    search = study.settings.search
    space = {
        f"space.{parameter.name}": parameter.describe()
        for parameter in study.space.parameters
    }
    fixed = {f"fixed.{name}": value for name, value in study.space.fixed.items()}
    settings = {f"search.{name}": value for name, value in vars(search).items()}
    return {**settings, **space, **fixed}


def _finished(study: Study, journal: Journal) -> bool:
    """Whether nothing is left to run."""
    search = study.settings.search
    if _to_repeat(study, journal):
        return False
    if search.time_budget_s is not None and journal.spent_s >= search.time_budget_s:
        return True
    if journal.open or not _drawn(study, journal):
        return False
    records = journal.records
    return not (search.is_population and missing_validations(study, records))


def _to_repeat(study: Study, journal: Journal) -> Sequence[TrialRecord]:
    """The failed trials that a session runs again: what failed them may be mended.

    All of a list, in which none can take another's place; of a search only those that
    nothing else has survived.
    """
    if not study.listed:
        return all_failed_alike(journal)
    return [record for record in journal.records if record.status == Status.FAILED]


def _drawn(study: Study, journal: Journal) -> bool:
    """Whether there are all the trials that are listed or to be suggested."""
    if study.listed:
        return journal.exhausted
    wanted = min(study.settings.search.num_trials, study.space.size)
    return journal.exhausted or len(journal) >= wanted


@dataclass(kw_only=True)
class _Session(Generic[R]):
    """One run of the command on a study that is locked and open."""

    study: Study
    places: Places
    fingerprints: Fingerprints
    folder: Path
    journal: Journal
    tracker: Tracker
    stopper: StudyStopper
    slots: int | None
    write: Writer[R]

    def run(self, tags: dict[str, str], *, finished: bool) -> Outcome[R]:
        """Run what is left, and close everything whatever happens."""
        metric = self.study.settings.metric
        keep = self.study.settings.search.keep_checkpoints
        if not finished:
            self._settle()
            self._check_checkpoints()
            if self.study.listed and not self.journal.exhausted:
                self._draw_listed()
            finished = _finished(self.study, self.journal)
        keeper = CheckpointKeeper(self._checkpoints(), self.journal, metric, keep)
        progress = StatusLine(self.study, self.journal, time.monotonic())
        self.tracker.start(self.journal.records)
        self.journal.observers = [self.tracker, keeper, progress]
        try:
            if not finished:
                notes = {"commit": tags.get("mlflow.source.git.commit", "unknown")}
                self.journal.begin_session(**notes, host=tags["host"])
                self._fit_all()
        finally:  # also when Ray itself fails: no run stays open
            progress.close()
            self.journal.suspend()
            with contextlib.suppress(OSError):  # it is cleared before it is used, too
                self._shared().clear()
            keeper.sweep()
            finished = _finished(self.study, self.journal)
            report = self._conclude(tags, finished)
        if self.stopper.error is not None:
            raise self.stopper.error
        return Outcome(
            records=self.journal.records,
            report=report,
            finished=finished,
            interrupted=self.stopper.interrupted,
            trace=self.stopper.trace,
            spent_s=self.journal.spent_s,
            ui_command=self.tracker.ui_command(),
            ui_address=self.tracker.ui_address(),
            tracking_error=None if self.tracker.complete else self.tracker.first_error,
        )

    def _fit_listed(self) -> None:
        """Run the listed trials, and then whichever they make necessary."""
        while not self.stopper.stop_all():
            if self.journal.open:
                self._fit_again(self._listed)
            if self.journal.open or self.stopper.stop_all():
                return
            with self.stopper.failing():
                self._draw_listed()
            if not self.journal.open:
                return

    def _draw_listed(self) -> None:
        """Add the trials of the list that are due; of two with one result the first."""
        known = {record.key for record in self.journal.records}
        listed, more = list(self.study.listed), self.study.more
        if more is not None and not self.journal.open:
            listed += more(self.journal.records)
        for one in listed:
            key = trial_key(one.fields, self.fingerprints)
            if key not in known:  # a session may have died between two
                self.journal.suggest(key, one.fields, group=one.group)
                known.add(key)
        if not self.journal.open:
            self.journal.exhaust()

    def _settle(self) -> None:
        """Write the ends that a session died before it could write."""
        search = self.study.settings.search
        for record in _to_repeat(self.study, self.journal):
            self.journal.reopen(record.number)
        replay = Replay(build_scheduler(self.study), self.study, self.journal)
        condemned = replay.everything()
        for record in self.journal.open:
            natural = self.journal.natural_end(record.number)
            if self._is_member(record) and record.epoch < search.max_epochs:
                continue  # also of one that diverged: it waits for another's state
            if natural != Status.STOPPED or record.number in condemned:
                self.journal.end(record.number, natural)

    def _check_checkpoints(self) -> None:
        """Refuse to go on from a damaged checkpoint before anything is started."""
        folder = self._checkpoints()
        for record in self.journal.open:
            name = checkpoint_name(record.name)
            try:
                folder.load(name)
            except OSError as err:
                raise StudyError(
                    f"{folder.uri}/{name} must be readable, but: "
                    f"{err.strerror or err}. Free it, or delete it to train from the "
                    "start."
                ) from err

    def _is_member(self, record: TrialRecord) -> bool:
        search = self.study.settings.search
        return search.is_population and record.validates is None

    def _fit_all(self) -> None:
        """Run what is left, until nothing is or something has stopped the study."""
        if self.study.listed:
            self._fit_listed()
            return
        if not self.study.settings.search.is_population:
            self._fit_again(self._searched)
            return
        with self.stopper.failing():
            self._searcher().draw(self.study.settings.search.num_trials)
            self._check_population()
        if self.stopper.stop_all():
            return
        if any(map(self._is_member, self.journal.open)):
            self._fit_again(self._population)
        if not any(map(self._is_member, self.journal.open)):
            self._validate()

    def _check_population(self) -> None:
        size = len(population(self.journal.records))
        if size < SMALLEST_POPULATION:
            raise StudyStoppedError(
                f"{self.study.path}: the space must hold {SMALLEST_POPULATION} trials "
                f"with different results for pbt, but holds {size}. Is what varies "
                "switched off under `fixed`? Start a new study with --name."
            )

    def _validate(self) -> None:
        """Train the best schedules of the population from scratch."""
        with self.stopper.failing():
            for number, fields in missing_validations(self.study, self.journal.records):
                key = trial_key(fields, self.fingerprints)
                self.journal.suggest(key, fields, number)
        if self.journal.open:
            self._fit_again(self._listed)

    def _fit_again(self, tuner: Callable[[str], tune.Tuner]) -> None:
        """Run a tuner until its trials have ended, or something has stopped them."""
        fits = 0
        while fits < MAX_FITS and not self.stopper.stop_all():
            num_ended = self.journal.num_ended
            self._fit(tuner)
            if not self.stopper.again:
                return
            self.stopper.again = False
            self.stopper.error = self.stopper.error or self._no_room()
            if not self.journal.open:
                return
            fits += self.journal.num_ended == num_ended
        if fits == MAX_FITS:
            self.stopper.error = StudyStoppedError(
                "Workers must live for more than moments, but they die again and again "
                "(see the nodes' logs). What is done is kept; the same command "
                "continues."
            )

    def _fit(self, tuner: Callable[[str], tune.Tuner]) -> None:
        # What Ray writes of an experiment is nobody's: see RECORD.md.
        scratch = tempfile.mkdtemp(prefix="orthotune-ray-")
        try:
            tuner(scratch).fit()
        except Exception as err:  # Ray's own, without a common base
            self.stopper.error = (
                self.stopper.error
                or self._no_room()
                or StudyStoppedError(
                    "Ray must stay up while a study runs, but it stopped: "
                    f"{_last_line(err)}. What is done is kept; the same command "
                    "continues."
                )
            )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _no_room(self) -> StudyStoppedError | None:
        """Why the study's folder cannot be written to, if it cannot.

        Ray may meet a full disk before the record does.
        """
        probe = self.folder / "probe"
        try:
            probe.write_bytes(bytes(PROBE_BYTES))
        except OSError as err:
            return _unwritable(self.folder, err)
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        return None

    def _searcher(self, on_resume: Callable | None = None) -> OptunaSearcher:
        return OptunaSearcher(
            self.study,
            self.journal,
            fingerprints=self.fingerprints,
            folder=self._checkpoints(),
            stopper=self.stopper,
            on_resume=on_resume or (lambda _record, _name: None),
        )

    def _searched(self, scratch: str) -> tune.Tuner:
        """The trials that the searcher suggests, one after the other."""
        search = self.study.settings.search
        scheduler = build_scheduler(self.study)
        replay = Replay(scheduler, self.study, self.journal)
        replay.ended()
        return self._tuner(
            scratch,
            search_alg=self._searcher(replay.trial),
            scheduler=scheduler,
            num_samples=max(search.num_trials, len(self.journal))
            - self.journal.num_ended,
            # As many as run: a trial suggested ahead knows less of the others.
            max_concurrent_trials=self._most(search.max_concurrent),
        )

    def _most(self, limit: int | None) -> int | None:
        """The most trials at once, by a limit and by what there is room for."""
        return min((n for n in (limit, self.slots) if n is not None), default=None)

    def _population(self, _scratch: str) -> tune.Tuner:
        """The members of the population, side by side."""
        members = [record for record in self.journal.open if self._is_member(record)]
        folder = self._checkpoints()
        stand = {record.name: _stand(record, folder) for record in members}
        varying = self.study.space.parameters
        now = {
            name: settings_at(config, varying, epoch)
            for name, (epoch, config) in stand.items()
        }
        settings = {
            name: tune.sample_from(
                lambda spec, name=name: now[spec.config[STUDY]["name"]][name]  # pyright: ignore[reportAttributeAccessIssue]
            )
            for name in (parameter.name for parameter in varying)
        }
        self._shared().clear()
        return self._tuner(
            self._shared().uri,
            listed=[assignment(folder, record, member=True) for record in members],
            settings=settings,
            scheduler=population_scheduler(
                self.study, [epoch for epoch, _ in stand.values()]
            ),
        )

    def _listed(self, scratch: str) -> tune.Tuner:
        """The trials that are open, in their order, to the end of each."""
        folder = self._checkpoints()
        return self._tuner(
            scratch,
            listed=[
                assignment(folder, record, profiled=bool(self.study.listed))
                for record in self.journal.open
            ],
            scheduler=build_scheduler(self.study),
            max_concurrent_trials=self._most(self.study.settings.search.max_concurrent),
        )

    def _tuner(
        self,
        storage: str,
        *,
        listed: Sequence[Mapping[str, Any]] = (),
        settings: Mapping[str, Any] | None = None,
        **how: Any,  # noqa: ANN401 - of TuneConfig
    ) -> tune.Tuner:
        """A tuner of the trials that are listed, or else suggested."""
        resources = self.study.settings.resources
        budget_s = self.study.settings.search.time_budget_s
        space = {STUDY: tune.grid_search(list(listed)), **(settings or {})}
        return tune.Tuner(
            tune.with_resources(
                StudyTrainable, {"cpu": resources.cpus, "gpu": resources.gpus}
            ),
            param_space=space if listed else {},
            tune_config=tune.TuneConfig(
                **how,
                time_budget_s=budget_s and max(1.0, budget_s - self.journal.spent_s),
                reuse_actors=True,
                trial_name_creator=name_of,
            ),
            run_config=tune.RunConfig(
                name=self.study.settings.name,
                storage_path=storage,
                stop=self.stopper,
                callbacks=[
                    JournalCallback(
                        self.journal, self.stopper, waiting=settings is not None
                    )
                ],
                checkpoint_config=tune.CheckpointConfig(
                    num_to_keep=COPIES_KEPT,
                    checkpoint_at_end=False,  # the trial has written its own
                ),
                failure_config=tune.FailureConfig(
                    # A member that Ray starts again is compared with the others at
                    # once, wherever it stands: they are run anew together instead.
                    max_failures=0 if settings else WORKER_DEATHS
                ),
                verbose=0,
            ),
        )

    def _shared(self) -> CheckpointFolder:
        """By which copies of members go from node to node."""
        return CheckpointFolder(f"{self._root()}/ray")

    def _root(self) -> str:
        """The study's folder as all nodes see it."""
        root = _absolute(self.places.storage).rstrip("/")
        return f"{root}/{self.study.settings.name}"

    def _checkpoints(self) -> CheckpointFolder:
        # By id: a study begun anew must not find the checkpoints of an earlier one.
        return CheckpointFolder(f"{self._root()}/checkpoints/{self.tracker.study_id}")

    def _conclude(self, tags: dict[str, str], finished: bool) -> R:
        """Write the study's files and close MLflow, also where a disk is full."""
        report = None
        try:
            report = self.write(
                self.study,
                self.folder,
                self.journal.records,
                tags.get("mlflow.source.git.commit"),
            )
            return report
        except OSError as err:
            raise self.stopper.error or _unwritable(self.folder, err) from err
        finally:
            self.tracker.finish(self._summary(report, finished))

    def _summary(self, report: R | None, finished: bool) -> Summary:
        tally = counts(self.journal.records)
        metrics = {
            f"num_{status}": float(n) for status, n in tally.items() if status.ended
        }
        metrics["divergence_rate"] = divergence_rate(self.journal.records)
        if report is not None:
            metrics |= report.metrics
        status = "FINISHED" if report is not None and report.worked else "FAILED"
        return Summary(
            status=status if finished else "KILLED",
            metrics=metrics,
            tags={"mlflow.note.content": report.note, **report.tags} if report else {},
            artifacts=[Path(self.study.path), *(report.paths if report else [])],
            groups=report.groups if report else (),
        )


def _stand(record: TrialRecord, folder: CheckpointFolder) -> tuple[int, TrialConfig]:
    """Epochs a member has finished, and as what.

    Its checkpoint knows what a session that died may not have heard of.
    """
    state = folder.load(checkpoint_name(record.name))
    if state is None or not state["history"]:
        return record.epoch, TrialConfig.from_dict(record.trained)
    epoch = max(record.epoch, state["history"][-1]["epoch"])
    return epoch, TrialConfig.from_dict(state["trial"]["config"])


def _absolute(storage: str) -> str:
    return storage if "://" in storage else str(Path(storage).resolve())


def _unwritable(folder: Path, err: OSError) -> StudyStoppedError:
    return out_of_room(f"{folder} must be writable, but: {err.strerror}")


def _last_line(err: Exception) -> str:
    lines = str(err).strip().splitlines() or [repr(err)]
    return lines[-1].strip().rstrip(".")
