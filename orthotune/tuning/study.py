"""A study from start to end, in as many sessions as it takes.

The folder of a study:

================ ===============================================================
`record.jsonl`   the event log, from which everything else follows
`lock`           held by the one driver
`driver.json`    likewise, and `record/`: a copy of the log, in a remote storage
`checkpoints/`   the live trials' latest, and the best, under the study's id
`best.yaml`, ... what is left for people (`report.py`)
================ ===============================================================

The record is our own file, and not what Ray keeps of an experiment: Ray's snapshots lag
behind by seconds, are pickles, leave out the scheduler, and cannot be continued with
more trials. Every session is a new Tuner over the trials that are left; searcher,
scheduler, table and MLflow are brought to where the record says they stood.
"""

import contextlib
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

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
from orthotune.tuning.event_log import EventLog
from orthotune.tuning.identity import (
    Fingerprints,
    definition,
    trial_key,
)
from orthotune.tuning.journal import Journal, Status, TrialRecord
from orthotune.tuning.mirror import RecordMirror
from orthotune.tuning.opening import Opening, check_storage
from orthotune.tuning.population import (
    missing_validations,
    population,
    population_scheduler,
    settings_at,
)
from orthotune.tuning.preflight import preflight, refuse, table
from orthotune.tuning.provenance import ORIGIN_FILES, origin_texts, provenance
from orthotune.tuning.reuse import Earlier, EarlierTrials
from orthotune.tuning.runtime import check_shared, ray_runtime
from orthotune.tuning.scheduler import Replay, build_scheduler
from orthotune.tuning.searcher import OptunaSearcher
from orthotune.tuning.settings import (
    COPIES_KEPT,
    SMALLEST_POPULATION,
    Listed,
    Study,
)
from orthotune.tuning.status_line import StatusLine
from orthotune.tuning.stopper import StudyStopper, all_failed_alike
from orthotune.tuning.storage import StorageFolder, absolute, is_remote, joined
from orthotune.tuning.store_draft import store_draft
from orthotune.tuning.tally import counts, divergence_rate
from orthotune.tuning.tracking import (
    Group,
    Summary,
    Tracker,
    check_store,
    resolve_tracking_uri,
)
from orthotune.tuning.worker import STUDY, StudyTrainable, assignment, name_of

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
        study_id: Tells this study from an earlier one of the same name.
        checkpoints: Those that were kept.
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
    study_id: str
    checkpoints: CheckpointFolder


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
    stopper = StudyStopper()
    prepare()
    with contextlib.ExitStack() as stack:
        opening = Opening(study, places.storage, definition(study, fingerprints), stack)
        check_storage(opening.folder, places.storage)
        log = opening.continued()
        # A server that a running study has lost is waited for; not so a new one.
        if log is None or not places.tracking_uri.startswith("http"):
            check_store(places.tracking_uri)
        journal = None if log is None else _journal(study, log)
        finished = journal is not None and _finished(study, journal)
        tags = provenance()
        header = log.header if log is not None else None
        study_id = header["id"] if header is not None else uuid.uuid4().hex[:12]
        tracker = _tracker(study, places, study_id, tags, opening.mirror)
        # A new store is made while Ray starts.
        draft = store_draft(places.tracking_uri, wanted=log is None)
        use_draft = stack.enter_context(draft)
        slots = None
        if not finished:
            slots = stack.enter_context(ray_runtime(study, places.address))
            check_shared(places.tracking_uri)
            if slots is None:
                _check_nodes(study, places, fingerprints)
        stack.enter_context(stopper.installed())  # Ray has put its own handlers there
        if log is None:
            log = opening.begun(study_id)
            use_draft()
            try:
                tracker.connect()
            except StudyError:
                opening.undo()
                raise
        if opening.mirror is not None:
            opening.mirror.start(stopper.lose)
        return _Session(
            study=study,
            places=places,
            fingerprints=fingerprints,
            folder=opening.folder,
            mirror=opening.mirror,
            journal=_journal(study, log) if journal is None else journal,
            tracker=tracker,
            stopper=stopper,
            slots=slots,
            earlier=EarlierTrials(places.tracking_uri, study_id, tags),
            write=write,
        ).run(tags, finished=finished)


def _check_nodes(study: Study, places: Places, fingerprints: Fingerprints) -> None:
    """Refuse a cluster on which the study would fail later; say what was looked at."""
    checks = preflight(study, absolute(places.storage), fingerprints)
    sys.stderr.write(f"{table(checks)}\n")
    refuse(checks)


def _journal(study: Study, log: EventLog) -> Journal:
    return Journal(log, study.settings.search.max_epochs)


def _tracker(
    study: Study,
    places: Places,
    study_id: str,
    tags: dict[str, str],
    mirror: RecordMirror | None,
) -> Tracker:
    return Tracker(
        uri=places.tracking_uri,
        name=study.settings.name,
        study_id=study_id,
        metric=study.settings.metric,
        params=_study_params(study),
        tags={**tags, "seed": str(study.settings.search.seed)},
        ranked=not study.listed,  # the best of replicates says nothing
        **({} if mirror is None else {"settle": mirror.settle}),
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
    mirror: RecordMirror | None
    slots: int | None
    earlier: EarlierTrials
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
        keeper = CheckpointKeeper(
            self._checkpoints(),
            self.journal,
            metric,
            keep,
            of_groups=self.study.keep_best_of_groups,
            **({} if self.mirror is None else {"when_safe": self.mirror.later}),
        )
        progress = StatusLine(self.study, self.journal, time.monotonic())
        self.tracker.start(self.journal.records)
        self.journal.observers = [self.tracker, keeper, progress]
        try:
            if not finished:
                self._note_origin()
                notes = {"commit": tags.get("mlflow.source.git.commit", "unknown")}
                self.journal.begin_session(**notes, host=tags["host"])
                self._fit_all()
        finally:  # also when Ray itself fails: no run stays open
            progress.close()
            self.journal.suspend()
            with contextlib.suppress(OSError):  # it is cleared before it is used, too
                self._shared().clear()
            self._sweep(keeper)
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
            study_id=self.tracker.study_id,
            checkpoints=self._checkpoints(),
        )

    def _note_origin(self) -> None:
        """Keep what says where this session's results come from."""
        with contextlib.suppress(OSError):  # a full disk is said by those who need it
            for name in ORIGIN_FILES:
                (self.folder / name).unlink(missing_ok=True)
            for name, text in origin_texts().items():
                (self.folder / name).write_text(text)

    def _origin(self) -> list[Path]:
        paths = [self.folder / name for name in ORIGIN_FILES]
        return [path for path in paths if path.exists()]

    def _sweep(self, keeper: CheckpointKeeper) -> None:
        """Delete the checkpoints of ended trials, if their ends are safe."""
        with contextlib.suppress(OSError):
            if self.mirror is not None:
                self.mirror.settle()
            keeper.sweep()

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
        """Add the trials of the list that are due, until one is to run, or none is."""
        while self._add_listed() and not self.journal.open:
            pass  # others had run them all, which may make more necessary
        if not self.journal.open:
            self.journal.exhaust()

    def _add_listed(self) -> bool:
        """Add what is due, of two with one result the first; whether that is any."""
        known = {record.key for record in self.journal.records}
        listed, more = list(self.study.listed), self.study.more
        if more is not None and not self.journal.open:
            listed += more(self.journal.records)
        due: dict[str, Listed] = {}
        for one in listed:
            due.setdefault(trial_key(one.fields, self.fingerprints), one)
        due = {key: one for key, one in due.items() if key not in known}
        earlier = self._earlier(due)
        for key, one in due.items():
            record = self.journal.suggest(
                key, one.fields, group=one.group, label=one.label
            )
            if key in earlier:
                self.journal.reuse(record.number, earlier[key])
        return bool(due)

    def _earlier(self, keys: Collection[str]) -> Mapping[str, Earlier]:
        """What other studies have run of these, if that is wanted."""
        if not self.study.reuse or not keys:
            return {}
        try:
            return self.earlier.find(keys)
        except Exception as err:  # MLflow's, without a common base
            sys.stderr.write(
                "orthotune: warning: MLflow does not say what other studies have run "
                f"({_last_line(err)}); all is run.\n"
            )
            return {}

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
                    f"{folder.place(name)} must be readable, but: "
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
        return CheckpointFolder(self._under("ray"))

    def _under(self, *names: str) -> str:
        """What is in the study's folder, as all nodes see it."""
        root = absolute(self.places.storage)
        return joined(root, self.study.settings.name, *names)

    def _checkpoints(self) -> CheckpointFolder:
        # By id: a study begun anew must not find the checkpoints of an earlier one.
        return CheckpointFolder(self._under("checkpoints", self.tracker.study_id))

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
            self._copy_files(report)
            return report
        except OSError as err:
            raise self.stopper.error or _unwritable(self.folder, err) from err
        finally:
            self.tracker.finish(self._summary(report, finished))

    def _copy_files(self, report: R) -> None:
        """Put what was written for people into a remote storage, too."""
        if not is_remote(self.places.storage):
            return
        try:
            for path in [*report.paths, *self._origin()]:
                names = path.relative_to(self.folder).parts
                folder = StorageFolder(self._under(*names[:-1]))
                folder.write(names[-1], path.read_bytes())
        except OSError as err:
            sys.stderr.write(
                f"orthotune: warning: the study's files are only in {self.folder}: "
                f"--storage fails ({_last_line(err)}).\n"
            )

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
            artifacts=[
                Path(self.study.path),
                *(report.paths if report else []),
                *self._origin(),
            ],
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


def _unwritable(folder: Path, err: OSError) -> StudyStoppedError:
    return out_of_room(f"{folder} must be writable, but: {err.strerror}")


def _last_line(err: Exception) -> str:
    lines = str(err).strip().splitlines() or [repr(err)]
    return lines[-1].strip().rstrip(".")
