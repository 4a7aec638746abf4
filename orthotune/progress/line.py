"""Progress of a study in one line."""

from collections.abc import Callable, Sequence

from orthotune.progress.time_left import TimeLeft
from orthotune.record.journal import Journal
from orthotune.record.population import population
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.text import counted

ENDS = {
    Status.STOPPED: "stopped early",
    Status.DIVERGED: "diverged",
    Status.OOM: "out of memory",
    Status.FAILED: "failed",
}
"""The ends that are said apart, in words."""

FEW = 3
"""Trials whose epochs are told one by one."""


class ProgressText:
    """The progress line and its parts.

    A list has cells of arms; a population has no first, which would be that of many
    draws with one seed. What is lowest in a search is not best before it is confirmed.

    Args:
        study: The study.
        journal: Its trials.
        time_left: What estimates the time left.
        slots: Gives how many trials run at once.
    """

    def __init__(
        self,
        study: Study,
        journal: Journal,
        time_left: TimeLeft,
        slots: Callable[[], float],
    ) -> None:
        self._study = study
        self._journal = journal
        self._time_left = time_left
        self._slots = slots
        self._ranks = not (study.settings.search.is_population or study.listed)
        self._standings = journal.standings(study.settings.metric)

    def add(self, record: TrialRecord) -> None:
        """Take in a trial that has ended."""
        if record.status.ended and record.validates is None:
            self._standings.add(record)

    @property
    def best(self) -> Sequence[TrialRecord]:
        """The first of the longest budget; none where none is ranked."""
        return self._standings.best if self._ranks else []

    def line(self) -> str:
        """All of it."""
        best = self._best()
        left = self._time_left.left()
        parts = [
            f"{self.ended()}, {self.running()}",
            f"{self.epochs()}",
            *([best] if best else []),
            *([left.text] if left else []),
        ]
        return "; ".join(parts)

    def ended(self) -> str:
        """How many trials have ended, and how."""
        status_counts, journal = self._journal.status_counts, self._journal
        nouns = "cells" if self._study.listed else "trials"
        ends = [
            f"{status_counts[s]} {words}"
            for s, words in ENDS.items()
            if status_counts[s]
        ]
        how = f" ({', '.join(ends)})" if ends else ""
        return f"{journal.num_ended}/{self.total()} {nouns} ended{how}"

    def total(self) -> int:
        """The trials there will be; of listed ones with one result the first runs."""
        known = len(population(self._journal.records))
        if not (self._study.listed or self._journal.exhausted):
            known = max(self._study.num_searched, known)
        confirming = [r for r in self._journal.records if r.validates is not None]
        ended = sum(record.status.ended for record in confirming)
        return known + ended + self._time_left.runs_to_confirm()

    def running(self) -> str:
        """What runs now, and how far it is."""
        live = [r for r in self._journal.open if r.status == Status.RUNNING]
        confirming = any(record.validates is not None for record in live)
        if self._study.settings.search.is_population and live and not confirming:
            at_once = min(len(live), int(self._slots()))
            return f"{at_once} of {counted(len(live), 'member')} training"
        if not live:
            started = self._journal.num_reports or self._journal.num_ended
            return "none running" if started else "starting the first ones"
        budget = self._study.settings.search.max_epochs
        epochs = sorted(record.trained_epochs for record in live)
        if len(live) <= FEW:
            where = " and ".join(map(str, epochs))
        else:
            where = f"{epochs[0]} to {epochs[-1]}"
        what = "confirming" if confirming else "running"
        return f"{len(live)} {what} (epoch {where} of {budget})"

    def epochs(self) -> str:
        """Epochs trained, and how many there will be."""
        done = self._journal.num_reports
        expected = max(done, round(self._time_left.expected_epochs()))
        about = "" if self._study.settings.search.scheduler != "asha" else "about "
        return f"{done} of {about}{expected} epochs"

    def _best(self) -> str:
        if not self.best:
            return ""
        first, metric = self.best[0], self._study.settings.metric
        return f"lowest {metric} {first.last(metric):.4f} (trial {first.number})"
