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
import uuid
from collections.abc import Callable
from dataclasses import replace

from orthotune.cluster.environment import prepare
from orthotune.cluster.footprint_cache import FootprintCache
from orthotune.cluster.resources import NO_RESOURCES, allocate_resources
from orthotune.cluster.runtime import check_shared, ray_runtime
from orthotune.config.plugins import shipment
from orthotune.errors import StudyError
from orthotune.record.checkpoints import CheckpointFolder
from orthotune.record.confirmation import with_recorded
from orthotune.record.event_log import EventLog
from orthotune.record.identity import Fingerprints, definition
from orthotune.record.journal import Journal
from orthotune.record.mirror import RecordMirror
from orthotune.record.observer import SessionObserver
from orthotune.record.provenance import provenance
from orthotune.record.study_definition import Study
from orthotune.record.warm_start import WarmStart
from orthotune.schema.fields import leaves
from orthotune.storage.credentials import storage_keys
from orthotune.storage.folder import absolute
from orthotune.study.completion import is_finished
from orthotune.study.record_opening import RecordOpening, check_storage
from orthotune.study.result import Locations, R, ReportWriter, StudyResult
from orthotune.study.session import Session
from orthotune.tracking.artifact_locations import check_artifacts
from orthotune.tracking.reuse import EarlierTrials, code_text
from orthotune.tracking.store_draft import store_draft
from orthotune.tracking.tensorboard import TensorBoard
from orthotune.tracking.tracked_run import MIXED_CODE
from orthotune.tracking.tracker import Tracker
from orthotune.tracking.tracking_uri import check_store
from orthotune.tracking.ui_view import View
from orthotune.tune.stopper import StudyStopper
from orthotune.tune.trial_runner import TrialRunner


def run_study(
    study: Study,
    locations: Locations,
    fingerprints: Fingerprints,
    write: ReportWriter[R],
) -> StudyResult[R]:
    """Begin a study, or continue it, or say what it came to; close everything.

    Args:
        study: The study.
        locations: Where it runs.
        fingerprints: Of every data set it names.
        write: Writes what it leaves for people, at the end of the session.

    Raises:
        StudyError: If the storage, MLflow or the Ray cluster cannot be used, if the
            study of this name asks another question, or runs already; nothing is
            changed then.
        PluginError: If workers could not import what is registered here.
        InterruptedStartError: If a signal comes before it has begun, or goes on.
        StudyStoppedError: If it cannot go on, as on a full disk; what is done is kept.
    """
    plugins = shipment()
    stopper = StudyStopper()
    prepare()
    with contextlib.ExitStack() as stack:
        hide_keys = stack.enter_context(storage_keys())
        asked = definition(study, fingerprints)
        opening = RecordOpening(study, locations.storage, asked, stack, stopper.lose)
        check_storage(opening.folder, locations.storage)
        is_server = locations.tracking_uri.startswith("http")
        if not is_server:
            check_store(locations.tracking_uri)
            check_artifacts(locations.tracking_uri, study.settings.name)
        log = opening.continued()
        # A server that a running study has lost is waited for; not so a new one.
        if is_server and log is None:
            check_store(locations.tracking_uri)
        journal = None if log is None else _journal(study, log)
        study = study if journal is None else with_recorded(study, journal)
        finished = journal is not None and is_finished(study, journal)
        tags = provenance()
        header = log.header if log is not None else None
        if header is not None:  # as it began
            study = replace(study, warm_start=WarmStart.of(header))
        study_id = header["id"] if header is not None else uuid.uuid4().hex[:12]
        # A new store is made while Ray starts.
        draft = store_draft(locations.tracking_uri, wanted=log is None)
        stack.enter_context(stopper.installed())
        use_draft = stack.enter_context(draft)
        storage, allocation, call = (
            absolute(locations.storage),
            NO_RESOURCES,
            _without_ray,
        )
        if not finished:
            with stopper.starting(begun=log is not None):
                runtime = stack.enter_context(ray_runtime(study, locations.address))
                check_shared(locations.tracking_uri)
                hide_keys()
                call, may_grow = runtime.health.call, runtime.may_grow
                allocation = allocate_resources(
                    study, storage, fingerprints, may_grow=may_grow
                )
            tags |= allocation.tags()
            if journal is not None and not journal.codes <= {code_text(tags)} - {None}:
                tags[MIXED_CODE] = "true"
        tracker = _tracker(study, locations, study_id, tags, opening.mirror)
        if log is None:
            log = opening.begun(study_id)
            use_draft()
            try:
                tracker.connect()
            except StudyError:
                opening.undo()
                raise
        if stopper.error is not None:  # another has taken over meanwhile
            raise stopper.error
        if allocation.shares.measured:
            FootprintCache(storage).add(allocation.shares.measured)
        journal = _journal(study, log) if journal is None else journal
        return Session(
            study=study,
            locations=locations,
            fingerprints=fingerprints,
            folder=opening.folder,
            mirror=opening.mirror,
            journal=journal,
            tracker=tracker,
            stopper=stopper,
            allocation=allocation,
            earlier=EarlierTrials(locations.tracking_uri, study_id, tags),
            runner=TrialRunner(
                study=study,
                journal=journal,
                fingerprints=fingerprints,
                folder=opening.folder,
                # By id: a study begun anew must not find those of an earlier one.
                checkpoints=_folder(locations, study, "checkpoints", study_id),
                shared=_folder(locations, study, "ray"),
                stopper=stopper,
                allocation=allocation,
                call=call,
                holder=opening.mirror.holder if opening.mirror is not None else None,
                plugins=plugins,
            ),
            write=write,
            observers=_observers(study, locations, study_id),
        ).run(tags, finished=finished)


def _without_ray(_function: Callable[[], object]) -> None:
    raise AssertionError("Nothing is left to run.")


def _folder(locations: Locations, study: Study, *names: str) -> CheckpointFolder:
    return CheckpointFolder(locations.of_study(study, *names))


def _journal(study: Study, log: EventLog) -> Journal:
    return Journal(log, study.settings.search.max_epochs)


def _observers(
    study: Study, locations: Locations, study_id: str
) -> list[SessionObserver]:
    """Who is told of what happens, beside MLflow."""
    if locations.tensorboard is None:
        return []
    return [
        TensorBoard(
            locations.tensorboard,
            name=study.settings.name,
            study_id=study_id,
            metric=study.settings.metric,
        )
    ]


def _tracker(
    study: Study,
    locations: Locations,
    study_id: str,
    tags: dict[str, str],
    mirror: RecordMirror | None,
) -> Tracker:
    return Tracker(
        uri=locations.tracking_uri,
        name=study.settings.name,
        study_id=study_id,
        metric=study.settings.metric,
        params=_study_params(study),
        tags={**tags, "seed": str(study.settings.search.seed)},
        view=_view(study, study_id),
        ranked=not study.listed,  # the best of replicates says nothing
        **({} if mirror is None else {"settle": mirror.settle}),
    )


def _view(study: Study, study_id: str) -> View:
    """What MLflow's UI opens on: the trials, or the arms of a list."""
    metric = study.settings.metric
    if study.listed:
        metrics = (f"{metric}_low", f"{metric}_high", "num_seeds", "divergence_rate")
        return View(
            kind="group",
            study_id=study_id,
            metric=metric,
            metrics=(*metrics, "difference", "corrected_p"),
        )
    return View(
        kind="trial",
        study_id=study_id,
        metric=metric,
        metrics=study.settings.objectives[1:],
        params=list(study.space.fields),
        tags=("orthotune.status",),
        charts=("val_error", "train_loss", "val_loss", *study.settings.objectives[1:]),
    )


def _study_params(study: Study) -> dict[str, object]:
    if study.listed:
        return dict(study.question)
    search = study.settings.search
    space = {
        f"space.{parameter.name}": parameter.describe()
        for parameter in study.space.parameters
    }
    texts = [constraint.text for constraint in study.space.constraints]
    space |= {"constraints": texts} if texts else {}
    fixed = {f"fixed.{name}": value for name, value in study.space.fixed.items()}
    given = leaves(search)
    settings = {f"search.{name}": value for name, value in given if value != []}
    return {**settings, **space, **fixed}
