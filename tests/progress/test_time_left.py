"""The time left, against studies that are simulated to their end."""

import heapq
import random

import pytest

from orthotune.progress.time_left import Left, TimeLeft
from orthotune.record.earlier import Earlier
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.space.rungs import rungs
from orthotune.study.study_file import read_study
from tests.made_records import metrics

START_S = 30.0  # of Ray, in which nothing is reported
EPOCH_S = 2.0


class Simulated:
    """A study that runs on a clock of its own, on so many slots."""

    def __init__(self, study, folder, slots, seed, passing=1 / 3):
        self.study, self.num_slots = study, slots
        self.now = 0.0
        self.rng = random.Random(seed)
        self.passing = passing
        self.journal = Journal(
            EventLog(folder / f"{seed}.jsonl"), study.settings.search.max_epochs
        )
        self.left = TimeLeft(study, self.journal, lambda: slots, clock=lambda: self.now)
        self.journal.observers = [self.left]
        self.guesses = []

    def run(self):
        """To the end; guesses are noted, with the time of each."""
        search = self.study.settings.search
        self.now = START_S
        live = []
        for _ in range(self.num_slots):
            self.begin(live)
        while live:
            self.now, number, epoch = heapq.heappop(live)
            self.journal.report(number, epoch, metrics(0.5))
            stops = epoch in rungs(search) and self.rng.random() > self.passing
            if epoch == search.max_epochs or stops:
                self.journal.end(number, Status.STOPPED if stops else Status.FINISHED)
                self.begin(live)
            else:
                self.next_epoch(live, number, epoch + 1)
            self.guesses.append((self.now, self.left.left()))
        return self.now

    def begin(self, live):
        if len(self.journal) < self.study.settings.search.num_trials:
            number = self.journal.suggest(f"key{len(self.journal)}", {}).number
            self.journal.start(number)
            self.next_epoch(live, number, 1)

    def next_epoch(self, live, number, epoch):
        takes_s = EPOCH_S * self.rng.uniform(0.5, 1.5)
        heapq.heappush(live, (self.now + takes_s, number, epoch))


@pytest.fixture
def study(tiny_file):
    def of(**search):
        values = {f"search.{name}": value for name, value in search.items()}
        return read_study(str(tiny_file), values)

    return of


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("passing", [0.2, 0.5])
def test_guesses_hold_what_it_took(study, tmp_path, slots, passing):
    asha = study(num_trials=30, max_epochs=16, grace_epochs=2)
    inside = total = 0
    for seed in range(20):
        one = Simulated(asha, tmp_path, slots, seed, passing)
        end_s = one.run()
        for now, guess in one.guesses[10:-1]:
            true_s = end_s - now
            low, high = (
                guess.seconds * (1 - 2 * guess.uncertainty),
                guess.seconds * (1 + 2 * guess.uncertainty),
            )
            inside += low - EPOCH_S <= true_s <= high + EPOCH_S
            total += 1
    assert total > 1000
    assert inside / total > 0.85


def test_a_quarter_of_the_way_the_guess_is_near(study, tmp_path):
    """The start of Ray and the trials that are still to come are no surprise."""
    plain = study(num_trials=40, max_epochs=10, scheduler="none")
    one = Simulated(plain, tmp_path, 2, seed=1)
    end_s = one.run()
    for now, guess in one.guesses[len(one.guesses) // 4 : -2]:
        half_a_trial_s = 5 * EPOCH_S  # for which a slot is idle in the end, or not
        near = pytest.approx(end_s - now, rel=0.1, abs=half_a_trial_s)
        assert guess.seconds == near


def test_it_falls_while_nothing_ends(study, tmp_path):
    one = Simulated(
        study(num_trials=1, max_epochs=60, scheduler="none"), tmp_path, 1, 0
    )
    one.rng.uniform = lambda _low, _high: 1.0
    one.run()
    seconds = [guess.seconds for _, guess in one.guesses[1:-1]]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] == pytest.approx(58 * EPOCH_S)


def test_between_two_epochs_the_clock_goes_on(study, tmp_path):
    one = Simulated(study(num_trials=1, max_epochs=9, scheduler="none"), tmp_path, 1, 0)
    one.begin([])
    for epoch in range(1, 4):
        one.now += 10.0
        one.journal.report(0, epoch, metrics(0.5))
    assert one.left.left().seconds == pytest.approx(60.0)
    one.now += 4.0
    assert one.left.left().seconds == pytest.approx(56.0)
    one.now += 400.0
    assert one.left.left().seconds == 0.0


def test_before_two_epochs_of_this_session_nothing_is_known(study, tmp_path):
    plain = study(num_trials=2, max_epochs=9, scheduler="none")
    one = Simulated(plain, tmp_path, 1, 0)
    one.begin([])
    assert one.left.left() is None
    one.journal.report(0, 1, metrics(0.5))
    assert one.left.left() is None
    log = EventLog(tmp_path / "0.jsonl")
    journal = Journal(log, 9)  # the next session
    assert TimeLeft(plain, journal, lambda: 1).left() is None


def test_the_last_trial_alone_takes_as_long_as_it_takes(study, tmp_path):
    """With four at once an epoch comes every quarter of its time; not at the end."""
    plain = study(num_trials=4, max_epochs=10, scheduler="none")
    one = Simulated(plain, tmp_path, 4, 0)
    live = []
    for _ in range(4):
        one.begin(live)
    for epoch in range(1, 10):
        one.now += 4.0
        for number in range(4):
            one.journal.report(number, epoch, metrics(0.5))
    one.now += 4.0
    for number in range(3):
        one.journal.report(number, 10, metrics(0.5))
        one.journal.end(number, Status.FINISHED)
    assert one.left.left().seconds < 8.0


def test_a_time_budget_limits_it(study, tmp_path):
    limited = study(num_trials=9, max_epochs=90, scheduler="none", time_budget_s=50.0)
    one = Simulated(limited, tmp_path, 1, 0)
    one.begin([])
    for epoch in range(1, 4):
        one.now += 10.0
        one.journal.report(0, epoch, metrics(0.5))
    assert one.left.left().seconds <= 50.0


def test_results_of_other_studies_took_no_time(study, tmp_path):
    plain = study(num_trials=3, max_epochs=40, scheduler="none")
    one = Simulated(plain, tmp_path, 1, 0)
    one.begin([])
    for epoch in range(1, 41):
        one.now += 5.0
        one.journal.report(0, epoch, metrics(0.5))
    one.journal.end(0, Status.FINISHED)
    history = {epoch: metrics(0.5) for epoch in range(1, 41)}
    earlier = Earlier(
        study="other", run_id="ab", status=Status.FINISHED, history=history
    )
    number = one.journal.suggest("key1", {}).number
    one.now += 2.0
    one.journal.reuse(number, earlier)
    assert one.left.left().seconds == pytest.approx(40 * 5.0 - 2.0)
    begun = Simulated(plain, tmp_path, 1, 1)
    begun.journal.reuse(begun.journal.suggest("key", {}).number, earlier)
    assert begun.left.left() is None  # nothing here has a pace yet


def test_once_nothing_is_left_no_time_is(study, tmp_path):
    one = Simulated(study(num_trials=2, max_epochs=3, scheduler="none"), tmp_path, 1, 0)
    one.run()
    guesses = [guess for _, guess in one.guesses]
    assert guesses[-1] is None
    assert guesses[-2].seconds > 0.0


def test_a_guess_that_says_little_says_the_most_it_takes():
    assert Left(6300.0, 1.0).text == "up to 3 h 30 min left"
    assert Left(20.0, 0.99).text == "up to 40 s left"
    assert Left(100.0, 0.5).text == "up to 3 min left"  # 50 s are no minute
    assert Left(6000.0, 0.9).text == "up to 3 h 10 min left"
    assert Left(6000.0, 0.8).text == "20 min to 3 h 00 min left"


def test_one_number_is_said_when_it_is_sure():
    assert Left(62.0, 0.1).text == "about 1 min 02 s left"
    assert Left(30.0, 0.5).text == "15 to 45 s left"
    assert Left(600.0, 0.5).text == "5 to 15 min left"
    assert Left(7200.0, 0.5).text == "1 h 00 min to 3 h 00 min left"
