"""The result of one trial of an arm."""

import math
from dataclasses import dataclass

from orthotune.config.metrics import reportable
from orthotune.record.trial_record import Status, TrialRecord


def result_of(record: TrialRecord, metric: str) -> float | None:
    """The metric at a trial's end: the worst there is of one that diverged.

    Args:
        record: The trial.
        metric: What is compared.

    Returns:
        None for a trial that has not ended with a result.

    Example:
        >>> diverged = TrialRecord(number=0, fields={}, status=Status.DIVERGED)
        >>> result_of(diverged, "val_error")
        1.0
    """
    if record.status == Status.DIVERGED:
        return reportable(metric, math.nan, diverged=True)
    if record.status == Status.FINISHED:
        return reportable(metric, record.last(metric), diverged=False)
    return None


@dataclass(frozen=True, kw_only=True)
class Replicate:
    """A cell that has ended with a result.

    Args:
        seed: Its seed.
        value: The metric at its end; the worst there is if it diverged.
        record: Its trial.
    """

    seed: int
    value: float
    record: TrialRecord

    @property
    def diverged(self) -> bool:
        """Whether it diverged."""
        return self.record.status == Status.DIVERGED

    def curve(self, metric: str, num_epochs: int) -> list[float]:
        """The metric of every epoch; the worst after a divergence."""
        history, last = self.record.history, self.record.epoch
        worst = reportable(metric, math.nan, diverged=True)
        seen = [
            history[epoch][metric] if epoch < last or not self.diverged else worst
            for epoch in range(1, min(last, num_epochs) + 1)
        ]
        return seen + [worst] * (num_epochs - last)
