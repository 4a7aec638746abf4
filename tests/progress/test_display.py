"""What who watches a study sees, on a terminal and elsewhere."""

import io
import threading
from dataclasses import replace

import pytest
from rich.console import Console

from orthotune.progress import display as progress_display
from orthotune.progress.display import ProgressDisplay
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.study_definition import Listed
from orthotune.record.trial_record import Status
from orthotune.study.study_file import read_study
from tests.made_records import metrics

GUARD_S = 60  # against hanging only


class Shown:
    """A display of a study, and what is given to it."""

    def __init__(self, study, path):
        self.journal = Journal(EventLog(path), 3)
        self.display = ProgressDisplay(study, self.journal, lambda: 2)
        self.journal.observers = [self.display]

    def begin(self, *errors, fields=None, **how):
        key = f"key{len(self.journal)}"
        number = self.journal.suggest(key, fields or {}, **how).number
        self.journal.start(number)
        for epoch, error in enumerate(errors, 1):
            self.journal.report(number, epoch, metrics(error))
        return number

    def end(self, *errors, status=Status.FINISHED, **how):
        self.journal.end(self.begin(*errors, **how), status)

    def table(self):
        console = Console(file=io.StringIO(), width=160)
        console.print(self.display.table())
        return [line.split() for line in console.file.getvalue().splitlines()]


def test_the_table_has_what_runs_and_what_is_best(tiny_study, path):
    shown = Shown(tiny_study, path)
    shown.end(0.5, 0.5, 0.25, fields={"optimizer.lr": 0.01})
    shown.end(0.5, 0.5, 0.125, fields={"optimizer.lr": 0.02})
    shown.begin(0.75, fields={"optimizer.lr": 0.03})
    title, above, below, *rows = shown.table()
    assert title[:4] == ["tiny:", "2/4", "trials", "ended,"]
    assert above[0] == "optimizer."
    assert below[:4] == ["trial", "epoch", "val_error", "lr"]
    assert [row[:6] for row in rows] == [
        ["2", "running", "1/3", "0.7500", "0.03", "-"],
        ["1", "no.", "1", "3/3", "0.1250", "0.02"],
        ["0", "no.", "2", "3/3", "0.2500", "0.01"],
    ]


def test_members_of_a_population_are_not_all_called_running(tiny_file, path):
    settings = {
        "search.scheduler": "pbt",
        "search.perturbation_epochs": 1,
        "regularizer.kind": "orthonormal",
        "regularizer.coeff": 1e-3,
        "model.widths": [4, 4, 4],
    }
    study = read_study(str(tiny_file), settings)
    shown = Shown(study, path)
    for _ in range(4):
        shown.begin(0.5)
    title, *_, first, second, third, fourth = shown.table()
    assert "2 of 4 members training," in " ".join(title)
    assert [row[1] for row in (first, second, third, fourth)] == ["member"] * 4


def test_of_many_that_run_only_some_are_in_the_table(tiny_study, path):
    shown = Shown(tiny_study, path)
    for _ in range(progress_display.MOST_RUNNING + 3):
        shown.begin(0.5)
    rows = shown.table()[3:]
    assert len(rows) == progress_display.MOST_RUNNING + 1
    assert rows[-1] == ["3", "more"]


def test_the_table_of_an_ablation_has_its_arms(tiny_study, path):
    cells = (Listed(fields={}, group="full", label="seed 1"),)
    shown = Shown(replace(tiny_study, listed=cells), path)
    shown.end(0.5, 0.25, group="full", label="seed 1")
    shown.end(0.5, 0.75, group="full", label="seed 2")
    shown.begin(0.5, group="no [red]penalty", label="seed 1")
    title, header, *rows = shown.table()
    assert title[1:4] == ["2/3", "cells", "ended,"]
    assert header == ["arm", "cell", "epoch", "val_error"]
    assert rows == [
        ["no", "[red]penalty", "seed", "1", "runs", "1/3", "0.5000"],
        ["full", "2", "of", "2", "ended", "mean", "0.5000"],
        ["no", "[red]penalty", "0", "of", "1", "ended", "mean", "-"],
    ]


class Stream(io.StringIO):
    """Standard error that somebody waits on."""

    def __init__(self, terminal=False):
        super().__init__()
        self.terminal = terminal
        self.written = threading.Event()

    def isatty(self):
        return self.terminal

    def write(self, text):
        done = super().write(text)
        self.written.set()
        return done


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(progress_display, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(progress_display, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(progress_display, "REFRESH_S", 0.01)


def test_elsewhere_than_on_a_terminal_it_is_a_line_when_something_has_changed(
    tiny_study, path, monkeypatch, quick
):
    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    shown = Shown(tiny_study, path)
    shown.display.start()
    assert stream.written.wait(GUARD_S)
    shown.end(0.5, 0.5, 0.25)
    shown.display.close()
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("orthotune: 0/4 trials ended, starting the first ones")
    assert lines[-1].startswith("orthotune: 1/4 trials ended, none running; 3 of")
    assert len(lines) == len(set(lines))


def test_on_a_terminal_the_table_is_drawn_over_itself(
    tiny_study, path, monkeypatch, quick
):
    stream = Stream(terminal=True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stderr", stream)
    shown = Shown(tiny_study, path)
    shown.display.start()
    assert stream.written.wait(GUARD_S)
    shown.end(0.5, 0.5, 0.25)
    shown.display.close()
    drawn = stream.getvalue()
    assert "tiny: 1/4 trials ended" in drawn
    assert "\x1b[" in drawn  # goes back up
    assert "orthotune:" not in drawn


def test_a_terminal_that_cannot_go_back_gets_lines(
    tiny_study, path, monkeypatch, quick
):
    stream = Stream(terminal=True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stderr", stream)
    shown = Shown(tiny_study, path)
    shown.display.start()
    assert stream.written.wait(GUARD_S)
    shown.display.close()
    assert "orthotune: 0/4 trials ended" in stream.getvalue()


def test_a_display_that_was_never_started_can_be_closed(tiny_study, path, capsys):
    Shown(tiny_study, path).display.close()
    assert capsys.readouterr().err == ""
