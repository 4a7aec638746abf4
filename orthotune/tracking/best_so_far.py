"""The best trial so far, against the number of finished ones: a curve in MLflow."""

import bisect
import threading

from orthotune.record.trial_record import TrialRecord
from orthotune.tracking.study_runs import StudyRuns
from orthotune.tracking.tracked_run import TrackedRun, metric_entity


class BestSoFar:
    """Orders finished trials by when they ended; one thread adds, another logs.

    Args:
        metric: What is minimized.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._lock = threading.Lock()
        self._finished: list[tuple[int, int, float]] = []  # when, which, its value
        self.anew()

    def anew(self) -> None:
        """Log all of it again: the run may be another, or the order."""
        self._best, self._num_ranked = float("inf"), 0

    def __len__(self) -> int:
        return len(self._finished)

    def add(self, record: TrialRecord) -> None:
        """Put a finished trial among the others, in the order in which they ended."""
        place = (record.ended_ms or 0, record.number, record.last(self._metric))
        with self._lock:
            bisect.insort(self._finished, place)
            if self._finished[-1] != place:  # the best after it may be another
                self.anew()

    def log(self, runs: StudyRuns, parent: TrackedRun, until: int) -> None:
        """Log what is new of it.

        Args:
            runs: The study's.
            parent: Its own run.
            until: How many of the finished trials count.
        """
        name = f"best_{self._metric}"
        with self._lock:
            first = self._num_ranked
            new = self._finished[first:until]
        if not new:
            return
        if parent.epochs is None:
            history = runs.client.get_metric_history(parent.run_id, name)
            parent.epochs = {metric.step for metric in history}
        metrics = []
        # MLflow takes the last step's value for the latest: not that of a trial which
        # began last.
        for count, (ended_ms, _, value) in enumerate(new, first + 1):
            self._best = min(self._best, value)
            if count not in parent.epochs:
                metrics.append(metric_entity(name, self._best, ended_ms, count))
        self._num_ranked += len(new)
        runs.log_metrics(parent, metrics)
        parent.epochs.update(metric.step for metric in metrics)
