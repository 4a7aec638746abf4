"""The audit of early stopping: whom it draws, and what it has found.

A trial that is condemned to stop runs on if the audit has drawn it, to the budget that
it would have had. Nothing but the audit knows what it reports after that.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from orthotune.record.population import population
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.space.settings import SearchSettings
from orthotune.stopping.signal_rule import stopped_on_signal

RANK = 5
"""A stopped trial would have mattered if it had been better than the one of this rank:
so many are shown."""


SIGNAL_SHARE = 0.1
"""The share of those stopped on a signal that is audited where no share is set."""


def is_drawn(search: SearchSettings, number: int, *, on_signal: bool = False) -> bool:
    """Whether a trial runs on if it is condemned.

    By the study's seed and the trial's number alone: so every session draws the same,
    and nothing that a trial has reported makes it more likely.

    Args:
        search: The share that is drawn, and the seed.
        number: The trial's.
        on_signal: Whether it is condemned before the scheduler could.

    Example:
        >>> search = SearchSettings(audit=0.25)
        >>> sum(is_drawn(search, number) for number in range(1000))
        225
    """
    draw = random.Random(f"{search.seed}/{number}/audit").random()
    share = search.audit or (SIGNAL_SHARE if on_signal else 0.0)
    return draw < share


def is_known(record: TrialRecord, max_epochs: int) -> bool:
    """Whether all that the audit asks of a condemned trial is on record.

    Args:
        record: The trial.
        max_epochs: The budget of a trial.
    """
    if not record.audit:
        return False
    last = record.trained_epochs
    return last >= max_epochs or bool(record.audit[last]["diverged"])


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A condemned trial at the end of its budget.

    Args:
        record: The trial.
        value: What it came to; infinite if it diverged.
    """

    record: TrialRecord
    value: float


@dataclass(frozen=True, kw_only=True)
class AuditFindings:
    """What the audit of a study has found.

    Args:
        max_epochs: The budget of a trial.
        stopped: The trials that were stopped, those of the audit among them.
        audited: Those of which is known what they would have come to.
        failed: How many ended with an error in the audit.
        best: The trials that ran on and were best, at most `RANK`.
        best_values: What they came to.
    """

    max_epochs: int
    stopped: Sequence[TrialRecord]
    audited: Sequence[Audited]
    failed: int
    best: Sequence[TrialRecord]
    best_values: Sequence[float]

    def better_than(self, rank: int) -> list[Audited]:
        """The audited trials that would have been better than the one of a rank."""
        reference = self.best_values[rank - 1]
        return [one for one in self.audited if one.value < reference]

    @property
    def regret(self) -> float:
        """How much better than the best the best audited one is; 0 if it is not."""
        least = min((one.value for one in self.audited), default=float("inf"))
        return max(0.0, self.best_values[0] - least)

    @property
    def open(self) -> int:
        """How many are still in the audit."""
        condemned = sum(record.audit is not None for record in self.stopped)
        return condemned - len(self.audited) - self.failed

    @property
    def epochs_saved(self) -> int:
        """Epochs that stopping has saved, before the audit took its share."""
        return sum(self.max_epochs - record.epoch for record in self.stopped)

    @property
    def epochs_audited(self) -> int:
        """Epochs that the audit has trained."""
        return sum(len(record.audit or ()) for record in self.stopped)


def audit_findings(
    records: Sequence[TrialRecord], study: Study, *, on_signal: bool = False
) -> AuditFindings:
    """What the audit has found of the trials that were stopped by one cause.

    Args:
        records: The trials of a search.
        study: The search.
        on_signal: Whether of those stopped on a signal, and not by the scheduler.
    """
    search, metric = study.settings.search, study.settings.metric
    records = population(records)
    stopped = [
        record
        for record in records
        if record.audit is not None or record.status == Status.STOPPED
        if stopped_on_signal(search, record) == on_signal
    ]
    audited = [Audited(record=r, value=_value(r, metric)) for r in stopped if _done(r)]
    failed = [r for r in stopped if r.audit is not None and r.status.ended]
    best = [r for r in equal_budget(records, metric) if r.status == Status.FINISHED]
    best = best[:RANK]
    return AuditFindings(
        max_epochs=search.max_epochs,
        stopped=stopped,
        audited=audited,
        failed=sum(not _done(record) for record in failed),
        best=best,
        best_values=[record.last(metric) for record in best],
    )


def _done(record: TrialRecord) -> bool:
    """Whether a trial's audit has ended with a result."""
    ended = record.status.ended and record.error is None
    return bool(record.audit) and ended


def _value(record: TrialRecord, metric: str) -> float:
    last = (record.audit or {})[record.trained_epochs]
    return float("inf") if last["diverged"] else last[metric]
