"""Suggests the trials of a study's journal to Ray Tune, as many as fit at once.

Ray is told of a trial when it can start, and not before: of what waits, Ray would give
idle workers the last one first; a cluster may grow; and what a sampler suggests later
knows more.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from orthotune.errors import StudyError
from orthotune.record.trial_record import TrialRecord
from orthotune.tune.assignment import STUDY
from orthotune.tune.stopper import StudyStopper

Assign = Callable[[TrialRecord], dict[str, Any]]
"""What a trial is told, as an `assignment`."""


class RecordSearcher(Searcher):
    """Suggests trials of a study's journal, in their order.

    Args:
        records: The trials.
        metric: What the study compares; it is minimized.
        assign: Gives what a trial is told.
        limit: Gives how many trials may be under way now; at least 1.
        stopper: Told when the journal cannot be written.
    """

    def __init__(
        self,
        records: Sequence[TrialRecord],
        metric: str,
        *,
        assign: Assign,
        limit: Callable[[], float],
        stopper: StudyStopper,
    ) -> None:
        super().__init__(metric=metric, mode="min")
        self._left = list(records)
        self._assign = assign
        self._limit = limit
        self._stopper = stopper
        self._numbers: dict[str, int] = {}
        self._live: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray writes its searcher to disk, the journal is there already."""
        return {}

    def _next(self, trial_id: str) -> TrialRecord | None:
        """The record of the next trial, by the name Ray gives it; None after the last.

        Raises:
            StudyError: If one goes into the journal first, which cannot be written.
        """
        return self._left.pop(0) if self._left else None

    def _ended(self, number: int, result: dict[str, Any], *, error: bool) -> None:
        """A trial has ended, with its last result."""

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict, **spec: object
    ) -> bool:
        """Ray's question whether it may set metric, mode and space: they are set."""
        return not config and metric in (None, self.metric) and mode in (None, "min")

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The config of a trial, or FINISHED after the last; None while all is full."""
        if len(self._live) >= self._limit():
            return None
        record = None
        with self._stopper.failing():
            record = self._next(trial_id)
        if record is None:
            return Searcher.FINISHED  # for None Ray would ask again for minutes
        self._numbers[trial_id] = record.number
        self._live.add(trial_id)
        return {STUDY: self._assign(record)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the journal keeps the metric of every epoch."""

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        """A trial has ended: there is room for another."""
        self._live.discard(trial_id)
        self._ended(self._numbers[trial_id], result or {}, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing but a file, which Ray asks for: all is in the study's journal."""
        Path(checkpoint_path).write_text("orthotune keeps a study's record itself.\n")

    def restore(self, checkpoint_path: str) -> None:
        """Refused: a searcher is rebuilt from the study's journal."""
        raise StudyError(
            "A study must be continued by the command that began it, but a searcher "
            f"was to be restored from {checkpoint_path}. Type the same command again."
        )
