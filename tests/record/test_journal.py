import copy
import gc
import random
import tracemalloc

import pytest

from orthotune.config.metrics import METRICS
from orthotune.errors import StudyStoppedError
from orthotune.record.event_log import EventLog
from orthotune.record.history import COMPUTED_BY, PROFILES
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from tests.full_disk import full_disk
from tests.made_records import DAY_MS, metrics


class Listener:
    def __init__(self):
        self.told = []

    def on_start(self, record):
        self.told.append(("start", record.number, record.status))

    def on_epoch(self, record, epoch):
        self.told.append(("epoch", record.number, epoch, record.last("val_error")))

    def on_end(self, record):
        self.told.append(("end", record.number, record.status))


class Clock:
    """The time of day, which passes only when it is told to."""

    def __init__(self, monkeypatch):
        self.ms = DAY_MS
        monkeypatch.setattr("orthotune.record.journal.now_ms", lambda: self.ms)

    def sleep(self, seconds):
        self.ms += round(1000 * seconds)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def opened(path, max_epochs=3):
    return Journal(EventLog(path), max_epochs)


def begun(path, trials=1):
    """A journal with a session and so many running trials."""
    journal = opened(path)
    journal.begin_session()
    for number in range(trials):
        journal.suggest(f"key{number}", {"seed": number})
        journal.start(number)
    return journal


def same(ours, theirs):
    """Whether two journals say the same, once nothing runs."""
    first, second = (
        {
            "records": [settled(record) for record in journal.records],
            "reports": journal.reports,
            "spent": journal.spent_s,
            "exhausted": journal.exhausted,
        }
        for journal in (ours, theirs)
    )
    return first == second


def settled(record):
    """As the next session sees it; when it was interrupted is not in the log."""
    values = copy.deepcopy(
        vars(record)
        | {
            "history": dict(record.history),
            "reported_ms": dict(record.reported_ms),
            "profiles": dict(record.profiles),
        }
    )
    if record.status == Status.RUNNING:
        values["status"] = Status.INTERRUPTED
    if values["status"] == Status.INTERRUPTED:
        values["ended_ms"] = None
    return values


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ([metrics(0.5), metrics(0.4), metrics(0.3)], Status.FINISHED),
        ([metrics(0.5)], Status.STOPPED),
        ([metrics(0.5), metrics(1.0, diverged=1.0)], Status.DIVERGED),
        ([metrics(0.5), metrics(0.5), metrics(1.0, diverged=1.0)], Status.DIVERGED),
        ([], Status.STOPPED),
    ],
)
def test_a_trial_ends_as_what_it_was(path, reports, status):
    journal = begun(path)
    journal.observers = [listener := Listener()]
    for epoch, result in enumerate(reports, 1):
        journal.report(0, epoch, result)
    journal.end(0, journal.natural_end(0))
    assert journal[0].status == status
    assert listener.told[-1] == ("end", 0, status)
    assert opened(path)[0].status == status


@pytest.mark.parametrize(
    "what", [{}, {"validates": 3}, {"group": "full", "label": "seed 1"}]
)
def test_what_a_trial_is_to_others_is_kept_and_nothing_else(path, what):
    journal = begun(path, trials=0)
    journal.suggest("key", {"seed": 1}, **what)
    told = {name: getattr(journal[0], name) for name in ("validates", "group", "label")}
    assert told == {"validates": None, "group": None, "label": None, **what}
    assert opened(path)[0] == journal[0]
    (event,) = (e for _, e in EventLog(path).events() if e["event"] == "suggested")
    assert event.keys() - what == {"event", "number", "key", "fields", "time"}


def test_every_trial_is_counted_once_however_it_stands(path):
    journal = begun(path, trials=3)
    journal.suggest("key3", {})
    journal.end(0, Status.STOPPED)
    journal.reopen(0)
    journal.start(0)
    journal.end(1, Status.FAILED, "KeyError: 'x'")
    stands = [record.status for record in journal.records]
    assert {s: n for s, n in journal.status_counts.items() if n} == {
        status: stands.count(status) for status in set(stands)
    }
    assert journal.num_ended == 1


def test_a_journal_of_a_study_that_runs_elsewhere_leaves_it_running(path):
    begun(path, trials=2).end(0, Status.STOPPED)
    live = Journal(EventLog(path), 3, live=True)
    assert [r.status for r in live.records] == [Status.STOPPED, Status.RUNNING]
    assert opened(path)[1].status == Status.INTERRUPTED


def test_only_known_metrics_are_kept_and_no_epoch_twice(path):
    journal = begun(path)
    journal.observers = [listener := Listener()]
    noise = {"pid": 1, "timestamp": 2, "time_total_s": 3, "a/b": 4}
    journal.report(0, 1, metrics(0.25) | noise | {"test_error": 0.1})
    size = path.stat().st_size
    journal.report(0, 1, metrics(0.75))  # trained again after a worker's death
    journal.start(0)
    assert path.stat().st_size == size
    assert set(journal[0].history[1]) == {*METRICS, "test_error"}
    assert journal[0].last("val_error") == 0.25
    assert journal.reports == [(0, 1)]
    assert listener.told == [("epoch", 0, 1, 0.25)]


def test_a_second_end_changes_nothing(path):
    journal = begun(path)
    journal.observers = [listener := Listener()]
    journal.end(0, Status.OOM, "CUDA out of memory")
    journal.end(0, Status.FAILED, "later")
    assert (journal[0].status, journal[0].error) == (Status.OOM, "CUDA out of memory")
    assert listener.told == [("end", 0, Status.OOM)]
    assert same(journal, opened(path))


def test_what_ran_when_a_session_died_is_interrupted_and_goes_on(path):
    journal = begun(path, trials=3)
    journal.report(0, 1, metrics(0.5))
    journal.report(2, 1, metrics(0.4))
    journal.end(2, Status.STOPPED)
    journal.suggest("key3", {"seed": 3})
    again = opened(path)  # and nobody has closed the first
    statuses = [Status.INTERRUPTED, Status.INTERRUPTED, Status.STOPPED, Status.WAITING]
    assert [record.status for record in again.records] == statuses
    assert [record.number for record in again.open] == [0, 1, 3]
    again.observers = [listener := Listener()]
    again.begin_session()
    again.start(0)
    again.report(0, 2, metrics(0.25))
    assert again[0].history == {1: metrics(0.5), 2: metrics(0.25)}
    running = ("start", 0, Status.RUNNING)
    assert listener.told == [running, ("epoch", 0, 2, 0.25)]
    assert again.suggest("key4", {}).number == 4


def test_a_session_that_ends_interrupts_what_runs_and_nothing_else(path, clock):
    journal = begun(path, trials=2)
    journal.suggest("key2", {})
    journal.end(1, Status.STOPPED)
    journal.observers = [listener := Listener()]
    size = path.stat().st_size
    clock.sleep(7)
    journal.suspend()
    journal.suspend()
    statuses = [Status.INTERRUPTED, Status.STOPPED, Status.WAITING]
    assert [record.status for record in journal.records] == statuses
    assert journal[0].ended_ms == DAY_MS + 7000
    assert journal[1].ended_ms == DAY_MS
    assert listener.told == [("end", 0, Status.INTERRUPTED)]
    assert path.read_bytes()[size:].count(b"\n") == 1  # the end of its time, once
    assert journal.spent_s == opened(path).spent_s == 7
    assert same(journal, opened(path))


def test_a_reopened_trial_runs_again_from_nothing(path):
    journal = begun(path)
    journal.report(0, 1, metrics(0.5))
    journal.end(0, Status.FAILED, "ValueError: broken")
    again = opened(path)
    assert again.open == []
    again.reopen(0)
    for now in (again, opened(path)):
        assert [record.number for record in now.open] == [0]
        assert now[0].status == Status.INTERRUPTED
        assert now[0].error is None
        assert now[0].history == {}
        assert now[0].attempt == 1
        assert now.reports == []


def test_what_a_reopened_trial_makes_necessary_is_asked_once_more(path):
    journal = begun(path)
    journal.end(0, Status.FAILED, "ValueError: broken")
    journal.exhaust()
    journal.reopen(0)
    for now in (journal, opened(path)):
        assert not now.exhausted


def test_of_a_reopened_trial_only_the_new_epochs_are_seen(path, clock):
    journal = begun(path, trials=2)
    for epoch in (1, 2):
        journal.report(0, epoch, metrics(0.5 + epoch))
        journal.report(1, epoch, metrics(0.3))
    journal.end(0, Status.FAILED, "ValueError: broken")
    journal.suspend()
    journal.reopen(0)
    journal.begin_session()
    journal.start(0)
    assert journal.reports == [(1, 1), (1, 2)]
    clock.sleep(9)
    journal.report(0, 1, metrics(0.25))
    for now in (journal, opened(path)):
        assert now[0].history == {1: metrics(0.25)}
        assert now[0].reported_ms == {1: DAY_MS + 9000}
        assert now[0].last("val_error") == 0.25
        assert now[1].history == {1: metrics(0.3), 2: metrics(0.3)}
        assert now.reports == [(1, 1), (1, 2), (0, 1)]
        assert now.num_reports == 3


def test_what_has_computed_a_trial_is_known_and_said_once(path):
    journal = begun(path, trials=2)
    for epoch, name in enumerate(["A100", "A100", "H100", "A100"], 1):
        journal.report(0, epoch, metrics(0.5) | {COMPUTED_BY: name})
    journal.report(1, 1, metrics(0.5))  # as a record of before this was asked
    for now in (journal, opened(path)):
        assert now[0].computed_by == ("A100", "H100")
        assert now[1].computed_by == ()
    assert path.read_text().count("A100") == 1
    journal.end(0, Status.FAILED, "broken")
    journal.reopen(0)
    assert journal[0].computed_by == opened(path)[0].computed_by == ()


def test_of_a_reopened_trial_only_the_new_profiles_are_seen(path):
    def profiled(epoch, value):
        profile = {"gram_deviation": [value, 2 * value]}
        return metrics(0.5) | {PROFILES: {str(epoch): profile}}

    journal = begun(path)
    journal.report(0, 1, profiled(0, 0.1))
    journal.report(0, 2, profiled(2, 0.2))
    for now in (journal, opened(path)):
        assert now[0].profiles == {
            0: {"gram_deviation": [0.1, 0.2]},
            2: {"gram_deviation": [0.2, 0.4]},
        }
        assert now[0].history == {1: metrics(0.5), 2: metrics(0.5)}
    journal.end(0, Status.FAILED, "ValueError: broken")
    journal.reopen(0)
    assert journal[0].profiles == opened(path)[0].profiles == {}
    journal.report(0, 1, profiled(0, 0.3))
    for now in (journal, opened(path)):
        assert now[0].profiles == {0: {"gram_deviation": [0.3, 0.6]}}


def test_what_is_read_back_is_what_was_reported(path):
    rng = random.Random(0)
    journal = begun(path, trials=3)
    told = {number: {} for number in range(3)}
    for epoch in range(1, 30):
        for number in rng.sample(range(3), 3):
            values = {name: rng.lognormvariate(0, 100) for name in METRICS}
            journal.report(number, epoch, values)
            told[number][epoch] = values
    for number in range(3):
        journal.end(number, Status.FINISHED)
    for now in (journal, opened(path)):
        assert {record.number: record.history for record in now.records} == told


def held_by(make):
    """Bytes that Python holds for what a function gives."""
    tracemalloc.start()
    try:
        found = make()
        gc.collect()
        return tracemalloc.get_traced_memory()[0], found
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("epochs", [20, pytest.param(100, marks=pytest.mark.soak)])
def test_a_trial_that_has_ended_takes_little_memory_however_it_is_known(path, epochs):
    def played():
        path.unlink(missing_ok=True)
        journal = begun(path, trials=50)
        for number in range(50):
            for epoch in range(1, epochs + 1):
                profile = {"singular_value": [epoch / (k + 3) for k in range(99)]}
                journal.report(
                    number,
                    epoch,
                    metrics(epoch / (number + 1))
                    | ({PROFILES: {str(epoch): profile}} if epoch == epochs else {}),
                )
            journal.end(number, Status.FINISHED)
        return journal

    for make in (played, lambda: opened(path)):
        # Other threads of the process, as those of a Ray, may hold more at times.
        size, journal = min((held_by(make) for _ in range(3)), key=lambda held: held[0])
        assert len(journal) == 50
        # With its fields and its key; 16 for an epoch, and what arrays reserve.
        assert size / 50 < 2200 + 20 * epochs, make


def test_rebuilding_takes_no_more_memory_than_what_is_kept(path):
    journal = begun(path)
    for epoch in range(1, 2000):
        journal.report(0, epoch, metrics(1 / epoch))
    peaks = []
    for _ in range(3):  # other threads of the process may hold more at times
        tracemalloc.start()
        try:
            opened(path)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert min(peaks) < path.stat().st_size / 4


def test_when_things_happened_is_kept(path, clock):
    journal = begun(path)
    clock.sleep(10)
    journal.report(0, 1, metrics(0.5))
    clock.sleep(1000)
    again = opened(path)
    again.begin_session()
    again.start(0)  # not when it started first
    clock.sleep(10)
    again.report(0, 2, metrics(0.4))
    clock.sleep(1)
    again.end(0, Status.STOPPED)
    for now in (again, opened(path)):
        assert now[0].started_ms == DAY_MS
        assert now[0].reported_ms == {1: DAY_MS + 10_000, 2: DAY_MS + 1_020_000}
        assert now[0].ended_ms == DAY_MS + 1_021_000


def test_time_counts_only_within_sessions_up_to_their_last_event(path, clock):
    journal = begun(path, trials=2)
    assert journal.spent_s == 0
    clock.sleep(10)
    journal.report(0, 1, metrics(0.5))
    assert journal.spent_s == 10
    clock.sleep(100)  # the session dies, at a time that nobody knows
    again = opened(path)
    assert again.spent_s == 10
    clock.sleep(1000)
    again.end(0, Status.STOPPED)  # settled before a session begins
    clock.sleep(1000)
    again.begin_session()
    assert again.spent_s == 10
    clock.sleep(5)
    again.report(1, 1, metrics(0.5))
    assert again.spent_s == 15
    clock.sleep(3000)
    assert opened(path).spent_s == 15


def test_sessions_with_nothing_between_them_are_counted_one_by_one(path, clock):
    for _ in range(3):
        journal = opened(path)
        journal.begin_session()
        clock.sleep(2)
        journal.suggest("key", {})
        clock.sleep(500)
    assert opened(path).spent_s == 6


def test_a_clock_that_is_set_back_gives_no_time_back(path, clock):
    journal = begun(path)
    clock.sleep(10)
    journal.report(0, 1, metrics(0.5))
    clock.sleep(-3600)
    journal.report(0, 2, metrics(0.5))
    clock.sleep(5)
    journal.report(0, 3, metrics(0.5))
    assert journal.spent_s == opened(path).spent_s == 15


def test_an_exhausted_space_stays_exhausted(path):
    journal = begun(path)
    assert not journal.exhausted
    journal.exhaust()
    assert journal.exhausted
    assert opened(path).exhausted


def test_a_change_that_cannot_be_written_has_not_happened(path):
    journal = begun(path)
    journal.observers = [listener := Listener()]
    with full_disk(path), pytest.raises(StudyStoppedError):
        journal.report(0, 1, metrics(0.5))
    assert journal[0].history == {}
    assert journal.reports == []
    assert listener.told == []
    assert same(journal, opened(path))


def test_a_closed_journal_takes_nothing_more(path):
    journal = begun(path)
    journal._log.close()
    with pytest.raises(RuntimeError, match="must be open"):
        journal.report(0, 1, metrics(0.5))


def random_change(journal, rng):
    """One thing that can happen in a session; what happened."""
    records = journal.records
    running = [r.number for r in records if r.status == Status.RUNNING]
    choice = rng.choice(["suggest", "start", "report", "report", "report", "end"])
    if choice == "suggest" or not records:
        journal.suggest(f"key{len(records)}", {"seed": rng.random(), "w": [4, 8]})
    elif choice == "start" and journal.open:
        journal.start(rng.choice(journal.open).number)
    elif running and choice == "report":
        number = rng.choice(running)
        epoch = max(1, journal[number].epoch + rng.choice([0, 1, 1]))
        journal.report(number, epoch, metrics(rng.random()))
    elif running and choice == "end":
        statuses = [Status.FINISHED, Status.STOPPED, Status.OOM, Status.FAILED]
        status = rng.choice(statuses)
        error = f"error {rng.random()}" if status == Status.FAILED else None
        journal.end(rng.choice(running), status, error)
    elif rng.random() < 0.1:
        journal.exhaust()


def random_break(journal, path, rng):
    """A session ends, in order or not, and the next one begins."""
    if rng.random() < 0.5:
        journal.suspend()
        journal._log.close()
    journal = opened(path)
    for trial in journal.records:
        if trial.status == Status.FAILED and rng.random() < 0.5:
            journal.reopen(trial.number)
        if trial.status == Status.INTERRUPTED and rng.random() < 0.2:
            journal.end(trial.number, Status.STOPPED)
    journal.begin_session()
    return journal


@pytest.mark.parametrize("seed", range(20))
def test_a_journal_is_rebuilt_from_its_log_as_it_stood_after_every_event(
    tmp_path, path, clock, seed
):
    rng = random.Random(seed)
    journal = opened(path)
    journal.begin_session()
    stood = {}
    for _ in range(100):
        clock.sleep(rng.uniform(0, 10))
        if rng.random() < 0.1:
            journal = random_break(journal, path, rng)
        else:
            random_change(journal, rng)
        stood[path.stat().st_size] = (
            [*map(settled, journal.records)],
            journal.reports,
            journal.spent_s,
            journal.exhausted,
        )
    whole = path.read_bytes()
    part = tmp_path / "part.jsonl"
    for size, (records, reports, spent_s, exhausted) in stood.items():
        part.write_bytes(whole[:size])
        again = opened(part)
        assert [*map(settled, again.records)] == records
        assert again.reports == reports
        assert again.num_reports == len(reports)
        assert again.spent_s == spent_s
        assert again.exhausted == exhausted
    assert len(stood) > 20
    assert any(record.history for record in journal.records)


def test_a_log_cut_anywhere_is_a_study_that_can_go_on(tmp_path, path):
    journal = begun(path, trials=2)
    journal.report(0, 1, metrics(0.5))
    journal.end(0, Status.STOPPED)
    whole = path.read_bytes()
    part = tmp_path / "part.jsonl"
    for size in range(0, len(whole), 11):  # every one: test_event_log.py
        part.write_bytes(whole[:size])
        again = opened(part)
        number = len(again.records)
        again.begin_session()
        assert again.suggest("next", {}).number == number
        again._log.close()
        assert opened(part)[number].key == "next"


def test_the_commits_of_all_sessions_are_told_once_each(path):
    journal = begun(path, trials=0)
    for commit in ({"commit": "ab1"}, {"commit": "cd2"}, {"commit": "ab1"}, {}):
        journal.begin_session(**commit)
    assert opened(path).commits == journal.commits
    assert [one for one in journal.commits if one != "unknown"] == ["ab1", "cd2"]
    assert journal.commits.count("unknown") == 1
