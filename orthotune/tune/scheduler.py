"""The scheduler of a study, brought to where an earlier session left it.

Ray keeps nothing of a scheduler when a driver dies. What it decided depends only on
what was reported, in the order it was reported: told the same again, through its own
contract, it stands where it stood.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from orthotune.record.journal import Journal
from orthotune.record.population import population
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class NewestFirst(FIFOScheduler):
    """Lets every trial run to its end; of those that wait, the newest goes first.

    Whichever goes first gets the worker that another trial has left, and Ray throws
    away the one it was starting for it. The oldest is the one with a worker that is
    nearly there: if it went first, trials shorter than the start of a worker would
    throw away one after the other, and run on a single slot.
    """

    def choose_trial_to_run(self, tune_controller: "TuneController") -> Trial | None:
        """The newest trial that waits; None if none does."""
        for trial in reversed(tune_controller.get_trials()):
            if trial.status == Trial.PENDING:
                return trial
        return None


class _Asha(NewestFirst, AsyncHyperBandScheduler):
    """Asynchronous successive halving, in the same order."""


def build_scheduler(study: Study) -> TrialScheduler:
    """The scheduler that a study names, new."""
    search = study.settings.search
    if search.scheduler != "asha":  # a population has one of its own, in each session
        return NewestFirst()
    # On our own count of epochs: Ray's starts again with every worker.
    return _Asha(
        time_attr="epoch",
        metric=study.settings.metric,
        mode=study.settings.mode,
        max_t=search.max_epochs,
        grace_period=search.grace_epochs,
        reduction_factor=search.reduction_factor,
    )


@dataclass(frozen=True)
class _Past:
    """The part of a trial that our schedulers read."""

    trial_id: str


class Replay:
    """Replays recorded results to a new scheduler.

    Args:
        scheduler: A new scheduler.
        study: The study.
        journal: What was reported in it.
    """

    def __init__(
        self, scheduler: TrialScheduler, study: Study, journal: Journal
    ) -> None:
        self._scheduler = scheduler
        self._study = study
        self._journal = journal

    def everything(self) -> set[int]:
        """Tell it every report in order; the open trials that it would end.

        A session may die between a report and the end that the scheduler decided on.
        """
        condemned = set()
        searched = {r.number: r for r in population(self._journal.records)}
        for record in searched.values():
            self._add(record, _past_id(record))
        for number, epoch in self._journal.reports:
            record = searched.get(number)
            if record is None:  # it confirms another, and no scheduler sees it
                continue
            decision = self._report(record, epoch, _past_id(record))
            # A trial that went on was let go: with several at once a session can
            # have known less of the others than this replay does.
            last = epoch == record.epoch and not record.status.ended
            last &= record.audit is None  # which has been settled
            if decision == TrialScheduler.STOP and last:
                condemned.add(number)
        return condemned

    def ended(self) -> None:
        """Tell it of the trials that have ended for it, those of an audit too."""
        for record in population(self._journal.records):
            if record.status.ended or record.audit is not None:
                self.trial(record, _past_id(record))

    def resumed(self, record: TrialRecord, trial_id: str) -> None:
        """Tell it of a trial that goes on, by the name it has in this session."""
        if record.audit is None:
            self.trial(record, trial_id)

    def trial(self, record: TrialRecord, trial_id: str) -> None:
        """Tell it of one trial, by a name."""
        self._add(record, trial_id)
        for epoch in sorted(record.history):
            self._report(record, epoch, trial_id)

    def _add(self, record: TrialRecord, trial_id: str) -> None:
        self._scheduler.on_trial_add(cast(Any, None), _as_trial(trial_id))

    def _report(self, record: TrialRecord, epoch: int, trial_id: str) -> str:
        """As Ray does: the last result of a trial that is done only completes it."""
        metric = self._study.settings.metric
        metrics = record.history[epoch]
        result = {"epoch": epoch, metric: metrics[metric]}
        trial, controller = _as_trial(trial_id), cast(Any, None)
        if metrics["diverged"] or epoch >= self._study.settings.search.max_epochs:
            self._scheduler.on_trial_complete(controller, trial, result)
            return TrialScheduler.CONTINUE
        return self._scheduler.on_trial_result(controller, trial, result)


def _past_id(record: TrialRecord) -> str:
    return f"past-{record.number}"


def _as_trial(trial_id: str) -> Trial:
    return cast(Trial, _Past(trial_id))
