"""How long a study still takes, from the epochs that are expected and their pace."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from orthotune.record.confirmation import find_confirmation
from orthotune.record.journal import Journal
from orthotune.record.population import population
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.space.rungs import Epochs, expected_rest, rungs
from orthotune.text import duration

PRIOR = 4
"""Trials for which what is expected of a rung counts, beside those that came to it."""

SPREAD = 0.6
"""The deviation of an epoch's time as a part of its mean, where depths vary."""

SURE = 0.15
"""The uncertainty, as a part of the time left, below which one number is enough."""

WIDEST = 10.0
"""How many times the least the most may be; else only the most says something."""


@dataclass(frozen=True)
class Left:
    """The time left.

    Args:
        seconds: As expected.
        uncertainty: Its standard deviation as a part of it.
    """

    seconds: float
    uncertainty: float

    @property
    def text(self) -> str:
        """The same in words; from and to while it is a guess.

        Example:
            >>> Left(100, 0.05).text, Left(100, 0.4).text, Left(4000, 0.5).text
            ('about 1 min 40 s left', '1 to 3 min left', '33 min to 1 h 40 min left')
            >>> Left(100, 0.9).text
            'up to 4 min left'
        """
        if self.uncertainty < SURE or self.seconds < 1:
            return f"about {duration(self.seconds)} left"
        low, high = (
            self.seconds * max(0.0, 1 - self.uncertainty),
            self.seconds * (1 + self.uncertainty),
        )
        return f"{_span(low, high)} left"


def _span(low: float, high: float) -> str:
    """From and to in one unit if there is one, and no finer than a guess is."""
    if high < 100:
        least, most = round(low), f"{round(high)} s"
        shown = str(least)
    elif high < 3600:
        least, most = math.floor(low / 60), f"{math.ceil(high / 60)} min"
        shown = str(least)
    else:
        least, most = round(low / 60), duration(high)
        shown = duration(60 * least).removesuffix(" 00 s")
    if not least or high > WIDEST * low:
        return f"up to {most}"
    return f"{shown} to {most}"


class TimeLeft:
    """Estimates the time left of one session; an observer of its journal.

    What counts are the epochs of the rungs that trials are still expected to reach, and
    the pace since the session's first epoch: Ray's start is no part of it, and no
    result that another study has.

    Args:
        study: The study.
        journal: Its trials, also those of earlier sessions.
        slots: Gives how many trials run at once.
        clock: Seconds.
    """

    def __init__(
        self,
        study: Study,
        journal: Journal,
        slots: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study = study
        self._journal = journal
        self._slots = slots
        self._clock = clock
        self._rungs = frozenset(rungs(study.settings.search))
        self._passed: Counter[int] = Counter()
        self._stopped: Counter[int] = Counter()
        self._first: float | None = None
        self._last = 0.0
        self._reports = 0
        self._raced: tuple[tuple[int, int], int] | None = None
        for record in journal.records:
            for epoch in record.history:
                self._count_passed(epoch)
            if record.status == Status.STOPPED:
                self._stopped[record.epoch] += 1

    def on_start(self, record: TrialRecord) -> None:
        """Nothing: it counts by its epochs."""

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Count an epoch; one of another study's took no time here."""
        self._count_passed(epoch)
        if record.reused is not None:
            return
        self._last = self._clock()
        if self._first is None:
            self._first = self._last
        self._reports += 1

    def on_end(self, record: TrialRecord) -> None:
        """Count a trial that did not pass a rung."""
        if record.status == Status.STOPPED:
            self._stopped[record.epoch] += 1

    def left(self) -> Left | None:
        """The time left now; None before two epochs of this session, and at the end."""
        if self._first is None or self._reports < 2 or self._last == self._first:
            return None
        # The first one only starts the clock.
        each_s = (self._last - self._first) / (self._reports - 1)
        slots = max(1.0, min(self._slots(), self._num_open()))
        rest, longest = self._rest()
        if not rest.mean:
            return None
        # With several at once one epoch takes as many times longer. In the end slots
        # are idle: on average for half of a trial.
        last_s = longest * each_s * slots
        idle_s = last_s / 2 * (1 - 1 / slots) if self._to_come() else 0.0
        since_s = self._clock() - self._last
        seconds = max(rest.mean * each_s + idle_s, last_s) - since_s
        budget_s = self._study.settings.search.time_budget_s
        if budget_s is not None:
            seconds = min(seconds, budget_s - self._journal.spent_s - since_s)
        apart = math.sqrt(rest.variance) / rest.mean
        pace = SPREAD / math.sqrt(self._reports - 1)
        return Left(max(0.0, seconds), math.hypot(apart, pace))

    def expected_epochs(self) -> float:
        """All epochs that the study is expected to come to."""
        return self._journal.num_reports + self._rest()[0].mean

    def _rest(self) -> tuple[Epochs, float]:
        """The epochs still to come, of all trials and of the longest."""
        likely, longest = self._rest_if(0)
        if not self._rungs:
            return likely, longest
        # How many pass is known from those that came to a rung so far, and no better.
        most, fewest = self._rest_if(1)[0].mean, self._rest_if(-1)[0].mean
        variance = likely.variance + ((most - fewest) / 2) ** 2
        return Epochs(likely.mean, variance), longest

    def _rest_if(self, deviations: float) -> tuple[Epochs, float]:
        """The same, if so many deviations more pass each rung than is likely."""
        search = self._study.settings.search
        passing = {rung: self._passing(rung, deviations) for rung in self._rungs}
        rests = [
            Epochs(search.max_epochs - record.trained_epochs)
            if record.audit is not None
            else expected_rest(search, record.epoch, passing)
            for record in self._searched()
        ]
        longest = max((rest.mean for rest in rests), default=0.0)
        to_come = self._to_come()
        if to_come:
            whole = expected_rest(search, 0, passing)
            rests.append(whole.times(to_come))
            longest = max(longest, whole.mean)
        confirming = self._epochs_to_confirm()
        if confirming:
            rests.append(Epochs(confirming))
            longest = max(longest, search.max_epochs)
        return sum(rests, Epochs(0.0)), longest

    def _to_come(self) -> int:
        """Trials that are not known yet, without those that will confirm others."""
        if self._study.listed or self._journal.exhausted:
            return 0
        known = len(population(self._journal.records))
        return max(0, self._study.num_searched - known)

    def _searched(self) -> list[TrialRecord]:
        """The open trials that go on, without those that confirm others."""
        return [] if self._study.searched else population(self._journal.open)

    def runs_to_confirm(self) -> int:
        """The most runs that there can still be to confirm the best, the open ones too.

        Of a race it is asked again only when a run has ended.
        """
        search, records = self._study.settings.search, self._journal.records
        if self._study.listed or not search.confirm.top:
            return 0
        if self._to_come() or self._searched():
            return search.num_confirmations
        at = len(records), self._journal.num_ended
        if self._raced is None or self._raced[0] != at:
            found = find_confirmation(self._study.settings, records)
            self._raced = at, found.num_left
        return self._raced[1]

    def _epochs_to_confirm(self) -> int:
        trained = sum(record.epoch for record in self._journal.confirming)
        epochs = self._study.settings.search.max_epochs
        return max(0, self.runs_to_confirm() * epochs - trained)

    def _passing(self, rung: int, deviations: float) -> float:
        """How many trials pass a rung, by those that came to it so far."""
        passed, stopped = self._passed[rung], self._stopped[rung]
        number = passed + stopped + PRIOR
        expected = PRIOR / self._study.settings.search.reduction_factor
        likely = (passed + expected) / number
        deviation = math.sqrt(likely * (1 - likely) / (number + 1))
        return min(1.0, max(0.0, likely + deviations * deviation))

    def _count_passed(self, epoch: int) -> None:
        if epoch - 1 in self._rungs:
            self._passed[epoch - 1] += 1

    def _num_open(self) -> int:
        return len(self._journal.open)
