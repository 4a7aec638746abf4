"""How far a study is, on one line, with the time left."""

import time

from orthotune.training.progress import ProgressLine, duration
from orthotune.tuning.journal import Journal, Status, TrialRecord, equal_budget
from orthotune.tuning.report import counts
from orthotune.tuning.settings import Study


class StatusLine:
    """The line that says how far a study is; an observer of its journal.

    Args:
        study: The study.
        journal: Its trials, also those of earlier sessions.
        started: When this session started, by `time.monotonic`.
    """

    def __init__(self, study: Study, journal: Journal, started: float) -> None:
        self._metric = study.settings.metric
        self._total = max(study.num_runs, len(journal.records))
        budget_s = study.settings.search.time_budget_s or float("inf")
        self._budget_s = budget_s - journal.spent_s
        self._started = started
        self._journal = journal
        # What a trial counts for: its end, or its epochs if all run to the last.
        asha = study.settings.search.scheduler == "asha"
        self._budget = 1 if asha else study.settings.search.max_epochs
        self._before = self._done(len(journal.records) - len(journal.open))
        self._line = ProgressLine()

    def on_start(self, record: TrialRecord) -> None:
        """Count a trial."""
        self._show()

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Show that something moves."""
        self._show()

    def on_end(self, record: TrialRecord) -> None:
        """Count its end."""
        self._show()

    def close(self) -> None:
        """End the line."""
        self._line.close()

    def _show(self) -> None:
        records = self._journal.records
        ended = [record for record in records if record.status.ended]
        tally = counts(records)
        best = equal_budget(ended, self._metric)
        self._line.show(
            f"{len(ended)}/{self._total} trials done"
            f", {tally.get(Status.RUNNING, 0)} running"
            f", {tally.get(Status.STOPPED, 0)} stopped early"
            f", {tally.get(Status.DIVERGED, 0)} diverged"
            + (f", {tally[Status.FAILED]} failed" if Status.FAILED in tally else "")
            + (
                f"  best {self._metric} {best[0].last(self._metric):.4f}"
                if best
                else ""
            )
            + f"  {self._left(len(ended))} left",
            final=len(ended) == self._total,
        )

    def _done(self, num_ended: int) -> int:
        """Epochs that were reported; where trials are stopped early, trials ended."""
        return num_ended if self._budget == 1 else len(self._journal.reports)

    def _left(self, num_ended: int) -> str:
        done = self._done(num_ended)
        if done == self._before:
            return "?"
        elapsed_s = time.monotonic() - self._started
        rest = self._total * self._budget - done
        rest_s = elapsed_s / (done - self._before) * rest
        return duration(max(0.0, min(rest_s, self._budget_s - elapsed_s)))
