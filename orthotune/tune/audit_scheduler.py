"""A scheduler whose decisions to stop are audited, by a share of them.

A trial that it stops, and that the audit has drawn, runs on: Ray is told to continue,
everybody else that the trial was stopped. What the trial reports afterwards reaches
neither the scheduler nor the searcher.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from orthotune.record.journal import Journal
from orthotune.record.study_definition import Study
from orthotune.stopping.audit import is_drawn, is_known
from orthotune.stopping.signal_rule import EPOCH, is_active, learn_rule
from orthotune.tune.assignment import number_of
from orthotune.tune.scheduler import Replay, build_scheduler

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class AuditScheduler(TrialScheduler):
    """Audits another scheduler, whatever that is.

    Args:
        inner: Decides; it has been told what earlier sessions reported.
        study: Says which share is audited, and whether trials are stopped on signals.
        journal: Says which trials of earlier sessions an audit runs on.
        condemned: Here go the numbers of the trials that it has stopped for all but the
            audit; the journal is told of them once it has their last epoch.
    """

    def __init__(
        self,
        inner: TrialScheduler,
        study: Study,
        journal: Journal,
        condemned: set[int],
    ) -> None:
        super().__init__()
        self._inner = inner
        self._study = study
        self._search = study.settings.search
        self._journal = journal
        self._condemned = condemned

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray writes its scheduler to disk, the journal is there already."""
        return {}

    def on_trial_result(
        self,
        tune_controller: "TuneController",
        trial: Trial,
        result: dict[str, Any],
    ) -> str:
        """As the other decides, but for what the audit has drawn."""
        number = number_of(trial)
        if self._is_over(number):
            return TrialScheduler.CONTINUE
        # What a worker reports again, its checkpoint being lost, has been judged.
        anew = not self._journal[number].history
        on_signal = anew and _is_condemned_on_signal(self._study, self._journal, result)
        decision = TrialScheduler.STOP
        if not on_signal:
            decision = self._inner.on_trial_result(tune_controller, trial, result)
        drawn = is_drawn(self._search, number, on_signal=on_signal)
        if decision == TrialScheduler.STOP and drawn:
            self._inner.on_trial_complete(tune_controller, trial, result)
            self._condemned.add(number)
            return TrialScheduler.CONTINUE
        return decision

    def on_trial_complete(
        self,
        tune_controller: "TuneController",
        trial: Trial,
        result: dict[str, Any],
    ) -> None:
        """A trial has ended; for the other one, those of the audit had before."""
        if not self._is_over(number_of(trial)):
            self._inner.on_trial_complete(tune_controller, trial, result)

    def _is_over(self, number: int) -> bool:
        """Whether a trial has been stopped for all but the audit."""
        return number in self._condemned or self._journal[number].audit is not None

    def on_trial_add(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Handed on."""
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Handed on, but for those of the audit."""
        if not self._is_over(number_of(trial)):
            self._inner.on_trial_error(tune_controller, trial)

    def on_trial_remove(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Handed on, but for those of the audit."""
        if not self._is_over(number_of(trial)):
            self._inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: "TuneController") -> Trial | None:
        """Handed on."""
        return self._inner.choose_trial_to_run(tune_controller)

    def set_search_properties(
        self, metric: str | None, mode: str | None, **spec: object
    ) -> bool:
        """Handed on."""
        return self._inner.set_search_properties(metric, mode, **spec)

    def debug_string(self) -> str:
        """Handed on."""
        return self._inner.debug_string()


def settle_condemned(study: Study, journal: Journal) -> set[int]:
    """The open trials that end now, of those that an earlier session has condemned.

    It may have died between the last report of a trial and what it decided on it. Which
    trials an audit is to run on is written into the journal.

    Args:
        study: The study.
        journal: Its trials.
    """
    search = study.settings.search
    condemned = Replay(build_scheduler(study), study, journal).everything()
    audited = {n for n in condemned if is_drawn(search, n)}
    for number in _condemned_last(study, journal):
        condemned.add(number)
        if is_drawn(search, number, on_signal=True):
            audited.add(number)
    for number in sorted(audited):
        journal.condemn(number)
    known = {r.number for r in journal.open if is_known(r, search.max_epochs)}
    return (condemned - audited) | known


def _is_condemned_on_signal(
    study: Study, journal: Journal, result: Mapping[str, Any]
) -> bool:
    """Whether a trial ends with its first epoch, by the trials that have ended."""
    settings = study.settings
    if not is_active(settings.search) or result.get("epoch") != EPOCH:
        return False
    rule = learn_rule(settings.search, settings.metric, journal.records)
    return rule.condemns(result)


def _condemned_last(study: Study, journal: Journal) -> list[int]:
    """The trial whose first epoch is the last report, if that has condemned it.

    On an earlier one the session had decided before the next came.
    """
    if not is_active(study.settings.search) or not journal.reports:
        return []
    number, epoch = journal.reports[-1]
    record = journal[number]
    if record.status.ended or record.audit is not None or record.validates is not None:
        return []
    result = {"epoch": epoch, **record.history[epoch]}
    return [number] if _is_condemned_on_signal(study, journal, result) else []
