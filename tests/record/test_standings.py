from orthotune.record.standings import Standings, equal_budget
from orthotune.record.trial_record import Status
from tests.made_records import record


def test_equal_budget_leaves_out_the_stopped_the_diverged_and_the_failed():
    records = [
        record(0, [0.5, 0.4, 0.3]),
        record(1, [0.01], Status.STOPPED),
        record(2, [0.9, 0.8, 0.0], Status.DIVERGED),
        record(3, [0.6, 0.5, 0.2]),
        record(4, [], Status.FAILED),
        record(5, [0.6, 0.5, 0.2]),
        record(6, [0.6, 0.5, 0.0], Status.OOM),
        record(7, [0.6, 0.5, 0.0], Status.FAILED),
    ]
    assert [r.number for r in equal_budget(records, "val_error")] == [3, 5, 0]


def test_without_full_budgets_the_longest_runs_are_compared():
    records = [
        record(0, [0.5], Status.STOPPED),
        record(1, [0.9, 0.8], Status.INTERRUPTED),
    ]
    assert [r.number for r in equal_budget(records, "val_error")] == [1]
    assert equal_budget([], "val_error") == []


def test_a_longer_trial_takes_the_place_of_all_shorter_ones():
    standings = Standings("val_error")
    for one in (record(0, [0.5]), record(1, [0.25]), record(2, [0.9, 0.8])):
        standings.add(one)
    assert [r.number for r in standings.best] == [2]  # of the longest alone
    standings.add(record(3, [0.7]))
    standings.add(record(4, [0.9, 0.8]))
    assert [r.number for r in standings.best] == [2, 4]  # of equals the first
