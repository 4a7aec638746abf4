"""The trials that can be compared, best first."""

import bisect
from collections.abc import Iterable

from orthotune.record.trial_record import WITHOUT_VALUE, TrialRecord


class Standings:
    """The trials that can be compared, best first, kept in order as trials are added.

    Those that ran as long as the longest one, without diverging: a value after one
    epoch says nothing against a value after ten. Never one that an audit ran on: what
    stops trials would choose among those that it stopped.

    Args:
        metric: What is minimized.

    Attributes:
        best: The trials.

    Example:
        >>> standings = Standings("val_error")
        >>> for number, error in enumerate([0.5, 0.25]):
        ...     history = {1: {"val_error": error}}
        ...     standings.add(TrialRecord(number=number, fields={}, history=history))
        >>> [record.number for record in standings.best]
        [1, 0]
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._longest = 0
        self.best: list[TrialRecord] = []

    def add(self, record: TrialRecord) -> None:
        """Put a trial in its place, if it can be compared."""
        epoch = record.epoch
        if record.status in WITHOUT_VALUE or not epoch or epoch < self._longest:
            return
        if record.audit is not None:
            return
        if epoch > self._longest:
            self._longest, self.best = epoch, []
        bisect.insort(self.best, record, key=self._place)

    def _place(self, record: TrialRecord) -> tuple[float, int]:
        return record.last(self._metric), record.number


def equal_budget(records: Iterable[TrialRecord], metric: str) -> list[TrialRecord]:
    """The trials of the longest budget, best first: `Standings.best`."""
    standings = Standings(metric)
    for record in records:
        standings.add(record)
    return standings.best
