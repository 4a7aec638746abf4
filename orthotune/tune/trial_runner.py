"""The trials of a study that are open, run by Ray Tune.

Every call makes a new Tuner over what is left; where the record says that a trial
stood, its assignment says from where it goes on.
"""

import contextlib
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune

from orthotune.cluster.resources import ResourceAllocation
from orthotune.config.plugins import Shipment
from orthotune.config.trial import TrialConfig
from orthotune.errors import RayLostError, StudyStoppedError, out_of_room
from orthotune.record.checkpoints import CheckpointFolder, checkpoint_name
from orthotune.record.identity import Fingerprints
from orthotune.record.journal import Journal
from orthotune.record.population import open_members, population, settings_at
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.space.settings import COPIES_KEPT
from orthotune.stopping.signal_rule import is_active
from orthotune.storage.lease import Holder
from orthotune.storage.redaction import last_line
from orthotune.storage.scratch import scratch_folder
from orthotune.tune.assignment import STUDY, assignment, name_of
from orthotune.tune.audit_scheduler import AuditScheduler
from orthotune.tune.callback import WORKER_DEATHS, Deaths, JournalCallback
from orthotune.tune.placement import placements
from orthotune.tune.population_scheduler import population_scheduler
from orthotune.tune.record_searcher import RecordSearcher
from orthotune.tune.scheduler import NewestFirst, Replay, build_scheduler
from orthotune.tune.searcher import build_searcher
from orthotune.tune.stopper import StudyStopper
from orthotune.tune.study_searcher import StudySearcher
from orthotune.tune.worker import StudyTrainable

PROBE_BYTES = 65536
MAX_IN_VAIN = 20
"""How often workers may die again without an epoch in between."""


@dataclass(kw_only=True)
class TrialRunner:
    """Runs trials until they have ended, or something has stopped the study.

    Args:
        study: The study.
        journal: Its record.
        fingerprints: Of every data set it names.
        folder: Its folder on this machine.
        checkpoints: Of its trials.
        shared: By which copies of members go from node to node.
        stopper: What stops it.
        allocation: What trials get.
        call: Calls what waits for Ray, as `RayHealth.call`.
        holder: This driver, where another may take over the study.
        plugins: What others have registered, for the workers.
    """

    study: Study
    journal: Journal
    fingerprints: Fingerprints
    folder: Path
    checkpoints: CheckpointFolder
    shared: CheckpointFolder
    stopper: StudyStopper
    allocation: ResourceAllocation
    call: Callable[[Callable[[], object]], None]
    holder: Holder | None = None
    plugins: Shipment | None = None

    def __post_init__(self) -> None:
        self._deaths: Deaths = {}
        self._condemned: set[int] = set()

    def search(self) -> None:
        """Run the trials that a searcher suggests."""
        self._fit_again(self._searched)

    def run_listed(self) -> None:
        """Run the trials that are open, in their order, to the end of each."""
        self._fit_again(self._listed)

    def confirm(self) -> None:
        """Run the open trials that confirm others, to the end of each."""
        self._fit_again(self._confirmed)

    def train_population(self) -> None:
        """Train the members that are open, side by side."""
        self._fit_again(self._population)

    def draw_population(self) -> None:
        """Have the searcher suggest the members there are to be."""
        self._searcher().draw(self.study.settings.search.num_trials)

    def _fit_again(self, tuner: Callable[[str], tune.Tuner]) -> None:
        """Run a tuner until its trials have ended, or something has stopped them."""
        in_vain = 0
        while in_vain < MAX_IN_VAIN and not self.stopper.stop_all():
            before = self.journal.num_reports + self.journal.num_ended
            self._fit(tuner)
            if not self.stopper.again:
                return
            self.stopper.again = False
            self.stopper.error = self.stopper.error or self._no_room()
            if not self.journal.open:
                return
            gained = self.journal.num_reports + self.journal.num_ended > before
            in_vain = 0 if gained else in_vain + 1
        if in_vain == MAX_IN_VAIN:
            self.stopper.error = StudyStoppedError(
                "Workers must live for more than moments, but they die again and again "
                "(see the nodes' logs). What is done is kept; the same command "
                "continues."
            )

    def _fit(self, tuner: Callable[[str], tune.Tuner]) -> None:
        # What Ray writes of an experiment is nobody's: see RECORD.md.
        scratch = tempfile.mkdtemp(dir=scratch_folder())
        try:
            self.call(lambda: tuner(scratch).fit())
        except RayLostError as err:
            # First: whatever else was met follows from it.
            self.stopper.error = err
        except Exception as err:  # Ray's own, without a common base
            self.stopper.error = (
                self.stopper.error
                or self._no_room()
                or StudyStoppedError(
                    "Ray must stay up while a study runs, but it stopped: "
                    f"{last_line(err)}. What is done is kept; the same command "
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
            return unwritable(self.folder, err)
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        return None

    def _searcher(self, on_resume: Callable | None = None) -> StudySearcher:
        return build_searcher(
            self.study,
            self.journal,
            fingerprints=self.fingerprints,
            assign=partial(
                self._assignment, signals=is_active(self.study.settings.search)
            ),
            limit=self._limit,
            stopper=self.stopper,
            on_resume=on_resume or (lambda _record, _name: None),
        )

    def _searched(self, scratch: str) -> tune.Tuner:
        """The trials that the searcher suggests, one after the other."""
        search = self.study.settings.search
        scheduler = build_scheduler(self.study)
        replay = Replay(scheduler, self.study, self.journal)
        replay.ended()
        if search.audit or search.stop_on_signal:
            scheduler = AuditScheduler(
                scheduler, self.study, self.journal, self._condemned
            )
        known = population(self.journal.records)
        return self._tuner(
            scratch,
            search_alg=self._searcher(replay.resumed),
            scheduler=scheduler,
            num_samples=max(search.num_trials, len(known))
            - sum(record.status.ended for record in known),
        )

    def _limit(self) -> float:
        """How many trials may be under way now."""
        asked = self.study.settings.search.max_concurrent
        return min(self.allocation.limit(), asked or math.inf)

    def _population(self, _scratch: str) -> tune.Tuner:
        """The members of the population, side by side."""
        members = open_members(self.study, self.journal)
        folder = self.checkpoints
        progress = {record.name: _progress(record, folder) for record in members}
        varying = self.study.space.parameters
        now = {
            name: settings_at(config, varying, epoch)
            for name, (epoch, config) in progress.items()
        }
        settings = {
            name: tune.sample_from(
                lambda spec, name=name: now[spec.config[STUDY]["name"]][name]  # pyright: ignore[reportAttributeAccessIssue]
            )
            for name in (parameter.name for parameter in varying)
        }
        self.shared.clear()
        return self._tuner(
            self.shared.uri,
            members=[self._assignment(record, member=True) for record in members],
            settings=settings,
            scheduler=population_scheduler(
                self.study, [epoch for epoch, _ in progress.values()]
            ),
        )

    def _listed(self, scratch: str) -> tune.Tuner:
        """The trials that are open, in their order, to the end of each."""
        return self._recorded(scratch, self.journal.open)

    def _confirmed(self, scratch: str) -> tune.Tuner:
        """Those of them that confirm others."""
        return self._recorded(scratch, self.journal.confirming)

    def _recorded(self, scratch: str, records: Sequence[TrialRecord]) -> tune.Tuner:
        searcher = RecordSearcher(
            records,
            self.study.settings.metric,
            assign=partial(self._assignment, profiled=bool(self.study.listed)),
            limit=self._limit,
            stopper=self.stopper,
        )
        return self._tuner(
            scratch,
            search_alg=searcher,
            scheduler=NewestFirst(),  # each has a whole budget
            num_samples=len(records),
        )

    def _tuner(
        self,
        storage: str,
        *,
        members: Sequence[Mapping[str, Any]] = (),
        settings: Mapping[str, Any] | None = None,
        **how: Any,  # noqa: ANN401 - of TuneConfig
    ) -> tune.Tuner:
        """A tuner of the trials that are suggested, or else of a population."""
        cpus = self.study.settings.resources.cpus
        budget_s = self.study.settings.search.time_budget_s
        space = {STUDY: tune.grid_search(list(members)), **(settings or {})}
        return tune.Tuner(
            tune.with_resources(
                StudyTrainable, placements(cpus, self.allocation.shares)
            ),
            param_space=space if members else {},
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
                        self.journal,
                        self.stopper,
                        self._deaths,
                        condemned=self._condemned,
                        waiting=settings is not None,
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

    def _assignment(self, record: TrialRecord, **how: bool) -> dict[str, Any]:
        shares = self.allocation.shares
        return assignment(
            self.checkpoints,
            record,
            # As it was suggested: that is the shape that was measured.
            gpus=shares.of(record.fields),
            gpu_bytes=shares.tensor_bytes(record.fields),
            checked_nodes=self.allocation.checked_nodes,
            holder=self.holder,
            plugins=self.plugins,
            **how,
        )


def _progress(record: TrialRecord, folder: CheckpointFolder) -> tuple[int, TrialConfig]:
    """The epochs that a member has finished, and its configuration then.

    Its checkpoint knows what a session that died may not have heard of.
    """
    state = folder.load(checkpoint_name(record.name))
    if state is None or not state["history"]:
        return record.epoch, TrialConfig.from_dict(record.trained)
    epoch = max(record.epoch, state["history"][-1]["epoch"])
    return epoch, TrialConfig.from_dict(state["trial"]["config"])


def unwritable(folder: Path, err: OSError) -> StudyStoppedError:
    """The error for a folder of a study that cannot be written to."""
    return out_of_room(f"{folder} must be writable, but: {err.strerror}")
