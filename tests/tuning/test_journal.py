import pickle
from dataclasses import dataclass, field

import pytest

from orthotune.training.metrics import METRICS
from orthotune.tuning.journal import Journal, Status, equal_budget
from tests.tuning.records import record


@dataclass
class FakeTrial:
    """What the journal reads of Ray's trial."""

    trial_id: str
    config: dict = field(default_factory=dict)
    error_file: str | None = None


class Listener:
    def __init__(self):
        self.told = []

    def on_start(self, record):
        self.told.append(("start", record.number))

    def on_epoch(self, record, epoch):
        self.told.append(("epoch", record.number, epoch))

    def on_end(self, record):
        self.told.append(("end", record.number, record.status))


def report(epoch, diverged=0.0, **more):
    return dict.fromkeys(METRICS, 0.5) | {"epoch": epoch, "diverged": diverged} | more


def journal_with(*reports, max_epochs=3):
    listener = Listener()
    journal = Journal(max_epochs, [listener])
    trial = FakeTrial("a", {"seed": 1})
    journal.on_trial_start(1, [], trial)
    for result in reports:
        journal.on_trial_result(1, [], trial, result)
    return journal, trial, listener


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ([report(1), report(2), report(3)], Status.FINISHED),
        ([report(1)], Status.STOPPED),
        ([report(1), report(2, diverged=1.0)], Status.DIVERGED),
        ([report(1), report(2), report(3, diverged=1.0)], Status.DIVERGED),
        ([], Status.STOPPED),
    ],
)
def test_a_trial_ends_as_what_it_was(reports, status):
    journal, trial, listener = journal_with(*reports)
    journal.on_trial_complete(1, [], trial)
    assert journal.records[0].status == status
    assert listener.told[-1] == ("end", 0, status)


def test_an_exception_ends_it_as_failed_with_its_last_line(tmp_path):
    journal, trial, _ = journal_with(report(1))
    trial.error_file = str(tmp_path / "error.txt")
    (tmp_path / "error.txt").write_text(
        "Failure # 1\nTraceback ...\n  File ...\n"
        "ValueError: `x` must be 1, but got 2.\n\n"
    )
    journal.on_trial_error(1, [], trial)
    assert journal.records[0].status == Status.FAILED
    assert journal.records[0].error == "ValueError: `x` must be 1, but got 2."


@pytest.mark.parametrize("error_file", [None, "/nowhere/error.txt"])
def test_an_exception_without_a_traceback_is_unknown(error_file):
    journal, trial, _ = journal_with(report(1))
    trial.error_file = error_file
    journal.on_trial_error(1, [], trial)
    assert journal.records[0].error == "unknown error"


def test_an_interrupt_ends_what_is_running_and_nothing_else():
    journal, trial, listener = journal_with(report(1))
    other = FakeTrial("b")
    journal.on_trial_start(1, [], other)
    journal.on_trial_complete(1, [], trial)
    journal.interrupted = True
    journal.close()
    journal.close()
    assert [r.status for r in journal.records] == [Status.STOPPED, Status.INTERRUPTED]
    assert [told[0] for told in listener.told].count("end") == 2


def test_only_known_metrics_are_kept_and_no_epoch_twice():
    noise = {
        "test_error": 0.1,
        "pid": 1,
        "timestamp": 2,
        "time_total_s": 3,
        "config/x": 4,
    }
    journal, trial, listener = journal_with(report(1, **noise), report(1))
    assert set(journal.records[0].history[1]) == set(METRICS)
    journal.on_trial_start(1, [], trial)  # started again after a pause
    assert [told[0] for told in listener.told] == ["start", "epoch"]


def test_a_time_budget_ends_what_is_running_as_stopped():
    journal, *_ = journal_with(report(1))
    journal.close()
    assert journal.records[0].status == Status.STOPPED


def test_it_can_be_pickled_without_its_observers():
    journal, *_ = journal_with(report(1))
    journal._observers = (lambda: None,)  # cannot be pickled
    copy = pickle.loads(pickle.dumps(journal))
    assert copy.records[0].history == journal.records[0].history


def test_equal_budget_leaves_out_the_stopped_the_diverged_and_the_failed():
    records = [
        record(0, [0.5, 0.4, 0.3]),
        record(1, [0.01], Status.STOPPED),
        record(2, [0.9, 0.8, 0.0], Status.DIVERGED),
        record(3, [0.6, 0.5, 0.2]),
        record(4, [], Status.FAILED),
        record(5, [0.6, 0.5, 0.2]),
    ]
    assert [r.number for r in equal_budget(records, "val_error")] == [3, 5, 0]


def test_without_full_budgets_the_longest_runs_are_compared():
    records = [
        record(0, [0.5], Status.STOPPED),
        record(1, [0.9, 0.8], Status.INTERRUPTED),
    ]
    assert [r.number for r in equal_budget(records, "val_error")] == [1]
    assert equal_budget([], "val_error") == []
