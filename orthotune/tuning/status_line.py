"""How far a study is, on one line, with the time left."""

import time

from orthotune.training.progress import ProgressLine, duration
from orthotune.tuning.journal import Journal, Status, TrialRecord
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
        self._listed = bool(study.listed)
        self._most = max(study.num_runs, len(journal))
        budget_s = study.settings.search.time_budget_s or float("inf")
        self._budget_s = budget_s - journal.spent_s
        self._started = started
        self._journal = journal
        # What a trial counts for: its end, or its epochs if all run to the last.
        # Of a population the best is of many draws with one seed; a list has none.
        self._ranks = not (study.settings.search.is_population or study.listed)
        asha = study.settings.search.scheduler == "asha"
        self._budget = 1 if asha else study.settings.search.max_epochs
        self._before = self._done()
        self._standings = journal.standings(study.settings.metric)
        self._line = ProgressLine()

    def on_start(self, record: TrialRecord) -> None:
        """Count a trial."""
        self._show()

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Show that something moves."""
        self._show()

    def on_end(self, record: TrialRecord) -> None:
        """Count its end."""
        if record.status.ended:
            self._standings.add(record)
        self._show()

    def close(self) -> None:
        """End the line."""
        self._line.close()

    def _show(self) -> None:
        final = self._journal.num_ended == self._total()
        if self._line.due(final):
            self._line.show(self._text(), final)

    def _text(self) -> str:
        tally = self._journal.tally
        best = self._standings.best if self._ranks else []
        failed, metric = tally[Status.FAILED], self._metric
        return (
            f"{self._journal.num_ended}/{self._total()} trials done"
            f", {tally[Status.RUNNING]} running"
            f", {tally[Status.STOPPED]} stopped early"
            f", {tally[Status.DIVERGED]} diverged"
            + (f", {failed} failed" if failed else "")
            + (f"  best {metric} {best[0].last(metric):.4f}" if best else "")
            + f"  {self._left()} left"
        )

    def _total(self) -> int:
        """The trials there will be; of listed ones with one result the first runs."""
        return len(self._journal) if self._listed else self._most

    def _done(self) -> int:
        """Epochs that were reported; where trials are stopped early, trials ended."""
        if self._budget == 1:
            return self._journal.num_ended
        return self._journal.num_reports

    def _left(self) -> str:
        done = self._done()
        if done == self._before:
            return "?"
        elapsed_s = time.monotonic() - self._started
        rest = self._total() * self._budget - done
        rest_s = elapsed_s / (done - self._before) * rest
        return duration(max(0.0, min(rest_s, self._budget_s - elapsed_s)))
