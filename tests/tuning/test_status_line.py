import io
from types import SimpleNamespace

import pytest

from orthotune.training.progress import ProgressLine
from orthotune.tuning.event_log import EventLog
from orthotune.tuning.journal import Journal, Status
from orthotune.tuning.status_line import StatusLine
from orthotune.tuning.study_file import read_study
from tests.tuning.records import metrics


class Watched:
    """A study whose status line is read; 100 seconds have passed."""

    def __init__(self, study, path, monkeypatch):
        clock = SimpleNamespace(monotonic=lambda: 100.0)
        monkeypatch.setattr("orthotune.tuning.status_line.time", clock)
        self.study = study
        self.journal = Journal(EventLog(path), 3)
        self.path = path
        self.watch()

    def watch(self, every_s=0.0):
        self.stream = io.StringIO()
        self.line = StatusLine(self.study, self.journal, started=0.0)
        self.line._line = ProgressLine(self.stream, every_s)
        self.journal.observers = [self.line]

    def again(self):
        self.journal = Journal(EventLog(self.path), 3)
        self.watch()

    def begin(self, *errors):
        number = self.journal.suggest("key", {}).number
        self.journal.start(number)
        for epoch, error in enumerate(errors, 1):
            self.journal.report(number, epoch, metrics(error))
        return number

    def end(self, *errors, status=Status.FINISHED):
        self.journal.end(self.begin(*errors), status)

    def shown(self):
        return self.stream.getvalue().splitlines()[-1]


@pytest.fixture
def watched(tiny_study, tmp_path, monkeypatch):
    return Watched(tiny_study, tmp_path / "record.jsonl", monkeypatch)


def test_before_the_first_end_the_time_left_is_unknown(watched):
    watched.begin(0.5)
    assert watched.shown() == (
        "0/4 trials done, 1 running, 0 stopped early, 0 diverged  ? left"
    )


def test_every_kind_of_end_is_counted_and_the_rest_takes_as_long(watched):
    watched.end(0.5, 0.5, 0.25)
    watched.end(0.4, status=Status.STOPPED)
    watched.begin(0.1)
    assert watched.shown() == (
        "2/4 trials done, 1 running, 1 stopped early, 0 diverged"
        "  best val_error 0.2500  1 min 40 s left"
    )
    watched.end(1.0, status=Status.DIVERGED)
    watched.end(status=Status.FAILED)
    assert watched.shown() == (
        "4/4 trials done, 1 running, 1 stopped early, 1 diverged, 1 failed"
        "  best val_error 0.2500  0 s left"
    )


def test_trials_of_earlier_sessions_are_done_but_tell_nothing_of_the_time(watched):
    watched.end(0.5, 0.5, 0.25)
    watched.end(0.5, 0.5, 0.5)
    watched.journal.suspend()
    watched.again()
    watched.begin(0.5)
    assert watched.shown().startswith("2/4 trials done, 1 running")
    watched.end(0.5, 0.5, 0.125)
    assert watched.shown() == (
        "3/4 trials done, 1 running, 0 stopped early, 0 diverged"
        "  best val_error 0.1250  1 min 40 s left"
    )


def test_the_end_of_a_session_runs_no_trial(watched):
    watched.begin(0.5)
    watched.journal.suspend()
    assert watched.shown().startswith("0/4 trials done, 0 running")


def test_the_time_budget_limits_the_time_left(tiny_file, tmp_path, monkeypatch):
    study = read_study(str(tiny_file), {"search.time_budget_s": 130.0})
    watched = Watched(study, tmp_path / "record.jsonl", monkeypatch)
    watched.end(0.5, 0.5, 0.25)
    assert watched.shown().endswith("  30 s left")


def test_a_space_that_is_smaller_than_the_study_is_the_whole(tmp_path, monkeypatch):
    path = tmp_path / "small.yaml"
    path.write_text("space:\n  seed: {type: categorical, choices: [0, 1, 2]}\n")
    study = read_study(str(path))
    watched = Watched(study, tmp_path / "record.jsonl", monkeypatch)
    watched.begin(0.5)
    assert watched.shown().startswith("0/3 trials done")


def test_the_last_line_is_shown_however_soon_it_comes(watched):
    watched.watch(every_s=1000.0)
    for last in (0.5, 0.4, 0.3, 0.2):
        watched.end(0.5, 0.5, last)
    watched.line.close()
    assert watched.shown().startswith("4/4 trials done, 0 running")
