"""One session of a study: settle the past, run what is left, write the files."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic

from orthotune.cluster.node_watch import watched_nodes
from orthotune.cluster.preflight import preflight
from orthotune.cluster.resources import ResourceAllocation
from orthotune.console import note
from orthotune.errors import StudyError, StudyStoppedError
from orthotune.files import remove_partials
from orthotune.progress.display import ProgressDisplay
from orthotune.record.checkpoints import CheckpointKeeper, checkpoint_name
from orthotune.record.confirmation import suggest_due
from orthotune.record.identity import Fingerprints, trial_key
from orthotune.record.journal import Journal
from orthotune.record.mirror import RecordMirror
from orthotune.record.observer import SessionObserver
from orthotune.record.population import is_member, open_members, population
from orthotune.record.provenance import COMMIT, ORIGIN_FILES, UNKNOWN, origin_texts
from orthotune.record.study_definition import Listed, Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.report.status_counts import counts, divergence_rate
from orthotune.schema.yaml_file import IN_MEMORY
from orthotune.space.settings import SMALLEST_POPULATION
from orthotune.storage.folder import StorageFolder, absolute, is_remote
from orthotune.storage.redaction import last_line
from orthotune.study.completion import is_finished, is_searched, to_repeat
from orthotune.study.result import Locations, R, ReportWriter, StudyReport, StudyResult
from orthotune.tracking.reuse import EarlierTrials, code_text
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracker import Tracker
from orthotune.tune.audit_scheduler import settle_condemned
from orthotune.tune.stopper import StudyStopper
from orthotune.tune.trial_runner import TrialRunner, unwritable


@dataclass(kw_only=True)
class Session(Generic[R]):
    """One run of the command on a study that is locked and open.

    Args:
        study: The study.
        locations: Where it runs.
        fingerprints: Of every data set it names.
        folder: Its folder on this machine.
        journal: Its record.
        tracker: Its runs in MLflow.
        stopper: What stops it.
        mirror: Of its record, in a remote storage.
        allocation: What trials get.
        earlier: Trials of other studies that answer for listed ones.
        runner: Runs its trials.
        write: Writes what it leaves for people.
        observers: Told of what happens, beside MLflow.
    """

    study: Study
    locations: Locations
    fingerprints: Fingerprints
    folder: Path
    journal: Journal
    tracker: Tracker
    stopper: StudyStopper
    mirror: RecordMirror | None
    allocation: ResourceAllocation
    earlier: EarlierTrials
    runner: TrialRunner
    write: ReportWriter[R]
    observers: Sequence[SessionObserver] = ()

    def run(self, tags: dict[str, str], *, finished: bool) -> StudyResult[R]:
        """Run what is left, and close everything whatever happens."""
        metric = self.study.settings.metric
        keep = self.study.settings.search.num_kept
        if not finished:
            self._settle()
            self._check_checkpoints()
            if self.study.listed and not self.journal.exhausted:
                self._draw_listed()
            finished = is_finished(self.study, self.journal)
        keeper = CheckpointKeeper(
            self.runner.checkpoints,
            self.journal,
            metric,
            keep,
            of_groups=self.study.keep_best_of_groups,
            of_all=self.study.searched,  # its file, which says how many, is not known
            objectives=self.study.settings.objectives,
            **({} if self.mirror is None else {"when_safe": self.mirror.later}),
        )
        progress = ProgressDisplay(self.study, self.journal, self._slots)
        for observer in (self.tracker, *self.observers):
            observer.start(self.journal.records)
        self.journal.observers = [self.tracker, *self.observers, keeper, progress]
        try:
            if not finished:
                self._note_origin()
                notes = {"commit": tags.get(COMMIT, UNKNOWN)}
                notes |= {"code": code_text(tags), "host": tags["host"]}
                self.journal.begin_session(**notes)
                progress.start()
                with self._watched():
                    self._fit_all()
        finally:  # also when Ray itself fails: no run stays open
            self.journal.suspend()
            for closed in (progress, *self.observers):
                closed.close()
            with contextlib.suppress(OSError):  # it is cleared before it is used, too
                self._settle_record()
                self.runner.shared.clear()
            self._sweep(keeper)
            finished = is_finished(self.study, self.journal)
            report = self._conclude(finished)
        if self.stopper.error is not None:
            raise self.stopper.error
        ui_command, ui = self.tracker.ui()
        return StudyResult(
            records=self.journal.records,
            report=report,
            finished=finished,
            interrupted=self.stopper.interrupted,
            trace=self.stopper.trace,
            spent_s=self.journal.spent_s,
            ui_command=ui_command,
            ui=ui,
            tracking_error=None if self.tracker.complete else self.tracker.first_error,
            study_id=self.tracker.study_id,
            checkpoints=self.runner.checkpoints,
        )

    def _slots(self) -> int:
        """How many trials run at once."""
        asked = self.study.settings.search.max_concurrent
        return min(self.allocation.slots, asked or self.allocation.slots)

    def _watched(self) -> contextlib.AbstractContextManager[None]:
        """While trials run, with a look at every node that joins."""
        if self.allocation.checked_nodes is None:
            return contextlib.nullcontext()
        storage = absolute(self.locations.storage)
        look = partial(preflight, self.study, storage, self.fingerprints)
        return watched_nodes(
            self.allocation.checked_nodes.nodes, look, self.stopper.lose
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
            self._settle_record()
            keeper.sweep()

    def _settle_record(self) -> None:
        """Copy the whole record to where another driver would find it.

        Raises:
            OSError: If that fails, or another driver has the study.
        """
        if self.mirror is not None:
            self.mirror.settle()

    def _fit_listed(self) -> None:
        """Run the listed trials, and then whichever they make necessary."""
        while not self.stopper.stop_all():
            if self.journal.open:
                self.runner.run_listed()
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
        wanted = {key: one.fields for key, one in due.items()}
        earlier = self.earlier.find(wanted) if self.study.reuse else {}
        for key, one in due.items():
            record = self.journal.suggest(
                key, one.fields, group=one.group, label=one.label
            )
            if key in earlier:
                self.journal.reuse(record.number, earlier[key])
        return bool(due)

    def _settle(self) -> None:
        """Write the ends that a session died before it could write."""
        search = self.study.settings.search
        cut = [record for record in self.journal.open if record.reused is not None]
        for record in (*to_repeat(self.study, self.journal), *cut):
            self._forget_checkpoint(record)
            self.journal.reopen(record.number)
        condemned = settle_condemned(self.study, self.journal)
        for record in self.journal.open:
            natural = self.journal.natural_end(record.number)
            if is_member(self.study, record) and record.epoch < search.max_epochs:
                continue  # also of one that diverged: it waits for another's state
            if natural != Status.STOPPED or record.number in condemned:
                self.journal.end(record.number, natural)

    def _forget_checkpoint(self, record: TrialRecord) -> None:
        """Let a trial begin from its start, and not from what failed."""
        folder, name = self.runner.checkpoints, checkpoint_name(record.name)
        try:
            folder.delete(name)
        except OSError as err:
            raise StudyError(
                f"{folder.place(name)} must go before its trial runs again, but: "
                f"{err.strerror or err}. Free it, or delete it."
            ) from err

    def _check_checkpoints(self) -> None:
        """Refuse to go on from a damaged checkpoint before anything is started."""
        folder = self.runner.checkpoints
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

    def _fit_all(self) -> None:
        """Run what is left, until nothing is or something has stopped the study."""
        if self.study.listed:
            self._fit_listed()
            return
        if not self.study.searched:
            self._search()
        if self.study.searched or is_searched(self.study, self.journal):
            self._confirm()

    def _search(self) -> None:
        """Run the trials that a searcher suggests."""
        if not self.study.settings.search.is_population:
            if not is_searched(self.study, self.journal):
                self.runner.search()
            return
        with self.stopper.failing():
            self.runner.draw_population()
            self._check_population()
        if not self.stopper.stop_all() and open_members(self.study, self.journal):
            self.runner.train_population()

    def _check_population(self) -> None:
        size = len(population(self.journal.records))
        if size < SMALLEST_POPULATION:
            raise StudyStoppedError(
                f"{self.study.path}: the space must hold {SMALLEST_POPULATION} trials "
                f"with different results for pbt, but holds {size}. Is what varies "
                "switched off under `fixed`? Start a new study with --name."
            )

    def _confirm(self) -> None:
        """Train the best again with fresh seeds, until the race of them is over."""
        while not self.stopper.stop_all():
            with self.stopper.failing():
                suggest_due(self.study, self.journal, self.fingerprints)
            if not self.journal.confirming:
                return
            self.runner.confirm()
            if self.journal.confirming:
                return

    def _conclude(self, finished: bool) -> R:
        """Write the study's files and close MLflow, also where a disk is full."""
        report = None
        note("writing the report ...")
        try:
            remove_partials(self.folder)
            report = self.write(
                self.study,
                self.folder,
                self.journal.records,
                self.journal.commits,
            )
            self._copy_files(report)
            return report
        except OSError as err:
            raise self.stopper.error or unwritable(self.folder, err) from err
        finally:
            self.tracker.finish(self._summary(report, finished))

    def _copy_files(self, report: R) -> None:
        """Put what was written for people into a remote storage, too."""
        if not is_remote(self.locations.storage):
            return
        try:
            self._settle_record()
            for path in [*report.paths, *self._origin()]:
                names = path.relative_to(self.folder).parts
                folder = StorageFolder(self.locations.of_study(self.study, *names[:-1]))
                folder.write(names[-1], path.read_bytes())
        except OSError as err:
            note(
                f"warning: the study's files are only in {self.folder}: --storage "
                f"fails ({last_line(err)})."
            )

    def _summary(self, report: R | None, finished: bool) -> Summary:
        status_counts = counts(self.journal.records)
        metrics = {
            f"num_{status}": float(n)
            for status, n in status_counts.items()
            if status.ended
        }
        metrics["divergence_rate"] = divergence_rate(self.journal.records)
        if report is not None:
            metrics |= report.metrics
        status = "FINISHED" if report is not None and report.worked else "FAILED"
        return Summary(
            status=status if finished else "KILLED",
            metrics=metrics,
            tags={**self.allocation.tags(), **_described(report)},
            artifacts=[
                *(() if self.study.path == IN_MEMORY else [Path(self.study.path)]),
                *(report.paths if report else []),
                *self._origin(),
            ],
            groups=report.groups if report else (),
        )


def _described(report: StudyReport | None) -> dict[str, str]:
    return {"mlflow.note.content": report.note, **report.tags} if report else {}
