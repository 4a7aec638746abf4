"""A scheduler whose decisions to stop are audited, by a share of them.

A trial that it stops, and that the audit has drawn, runs on: Ray is told to continue,
everybody else that the trial was stopped. What the trial reports afterwards reaches
neither the scheduler nor the searcher.
"""

from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from orthotune.record.audit import is_drawn
from orthotune.record.journal import Journal
from orthotune.record.study_definition import Study
from orthotune.space.settings import SearchSettings
from orthotune.tune.assignment import number_of
from orthotune.tune.scheduler import Replay, build_scheduler

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class AuditScheduler(TrialScheduler):
    """Audits another scheduler, whatever that is.

    Args:
        inner: Decides; it has been told what earlier sessions reported.
        search: The share that is audited, and the seed that draws it.
        journal: Says which trials of earlier sessions an audit runs on.
        condemned: Here go the numbers of the trials that it has stopped for all but the
            audit; the journal is told of them once it has their last epoch.
    """

    def __init__(
        self,
        inner: TrialScheduler,
        search: SearchSettings,
        journal: Journal,
        condemned: set[int],
    ) -> None:
        super().__init__()
        self._inner = inner
        self._search = search
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
        decision = self._inner.on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP and is_drawn(self._search, number):
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
    condemned = Replay(build_scheduler(study), study, journal).everything()
    audited = {n for n in condemned if is_drawn(study.settings.search, n)}
    for number in sorted(audited):
        journal.condemn(number)
    known = {r.number for r in journal.open if journal.is_audited(r.number)}
    return (condemned - audited) | known
