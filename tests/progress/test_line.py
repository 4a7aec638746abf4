"""The line that says how far a study is."""

from dataclasses import replace

import pytest

from orthotune.progress.line import ProgressText
from orthotune.progress.time_left import TimeLeft
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.study_definition import Listed
from orthotune.record.trial_record import Status
from orthotune.study.study_file import read_study
from tests.made_records import metrics

POPULATION = """\
search: {num_trials: 4, max_epochs: 3, scheduler: pbt, perturbation_epochs: 1}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
"""


class Watched:
    """A study whose line is read."""

    def __init__(self, study, path, slots=2):
        self.study = study
        self.journal = Journal(EventLog(path), 3)
        self.time_left = TimeLeft(study, self.journal, lambda: slots)
        self.text = ProgressText(study, self.journal, self.time_left, lambda: slots)
        self.journal.observers = [self.time_left, self]

    def on_start(self, record):
        pass

    def on_epoch(self, record, epoch):
        pass

    def on_end(self, record):
        self.text.add(record)

    def begin(self, *errors, **how):
        number = self.journal.suggest(f"key{len(self.journal)}", {}, **how).number
        self.journal.start(number)
        for epoch, error in enumerate(errors, 1):
            self.journal.report(number, epoch, metrics(error))
        return number

    def end(self, *errors, status=Status.FINISHED, **how):
        self.journal.end(self.begin(*errors, **how), status)

    def parts(self):
        """Without the time left."""
        return self.text.line().split("; ")[:3]


@pytest.fixture
def watched(tiny_study, path):
    return Watched(tiny_study, path)


def test_a_search_speaks_of_its_trials_and_the_best(watched):
    assert watched.parts()[0] == "0/4 trials ended, starting the first ones"
    watched.end(0.5, 0.5, 0.25)
    watched.end(0.4, status=Status.STOPPED)
    watched.begin(0.1, 0.1)
    assert watched.parts() == [
        "2/4 trials ended (1 stopped early), 1 running (epoch 2 of 3)",
        "6 of about 9 epochs",
        "lowest val_error 0.2500 (trial 0)",
    ]
    watched.end(1.0, status=Status.DIVERGED)
    assert watched.parts()[0] == (
        "3/4 trials ended (1 stopped early, 1 diverged), 1 running (epoch 2 of 3)"
    )


def test_many_that_run_are_told_by_the_least_and_the_most(watched):
    for epochs in (1, 3, 2, 2):
        watched.begin(*[0.5] * epochs)
    assert watched.parts()[0].endswith("4 running (epoch 1 to 3 of 3)")


def test_what_a_session_left_is_not_running(watched):
    watched.begin(0.5)
    watched.journal.suspend()
    assert watched.parts()[0] == "0/4 trials ended, none running"


def test_an_ablation_speaks_of_cells_and_ranks_nothing(tiny_study, path):
    cells = (Listed(fields={}, group="full", label="seed 1"),) * 3
    watched = Watched(replace(tiny_study, listed=cells), path)
    watched.end(0.5, 0.5, 0.5, group="full", label="seed 1")
    watched.begin(group="full", label="seed 2")
    assert watched.text.line().startswith(
        "1/2 cells ended, 1 running (epoch 0 of 3); 3 of "
    )
    assert "lowest" not in watched.text.line()


def test_members_of_a_population_take_turns(tmp_path, path):
    file = tmp_path / "population.yaml"
    file.write_text(POPULATION)
    watched = Watched(read_study(str(file)), path)
    for _ in range(4):
        watched.begin(0.5)
    assert watched.parts()[0] == "0/13 trials ended, 2 of 4 members training"
    assert watched.parts()[1] == "4 of 39 epochs"
    assert "lowest" not in watched.text.line()


def test_what_will_confirm_the_best_is_counted_and_what_confirms_is_said(
    tiny_file, path
):
    asked = {"search.confirm.top": 2, "search.confirm.seeds": 2}
    watched = Watched(read_study(str(tiny_file), asked), path)
    watched.begin()
    assert watched.parts()[0] == "0/8 trials ended, 1 running (epoch 0 of 3)"
    watched.journal.end(0, Status.FAILED)
    for _ in range(2):
        watched.end(0.4, status=Status.STOPPED)
    watched.end(0.4, 0.3, 0.25)  # the only one with a full budget
    assert watched.parts()[0].startswith("4/6 trials ended (2 stopped early, 1 failed)")
    watched.end(0.4, 0.3, 0.1, validates=3)
    watched.begin(0.4, validates=3)
    assert watched.parts()[0].endswith("1 confirming (epoch 1 of 3)")
    assert watched.parts()[0].startswith("5/6 trials")
    assert watched.parts()[2] == "lowest val_error 0.2500 (trial 3)"
    assert watched.parts()[1] == "9 of about 11 epochs"


def test_a_space_that_is_smaller_than_the_study_is_the_whole(tmp_path, path):
    file = tmp_path / "small.yaml"
    file.write_text("space:\n  seed: {type: categorical, choices: [0, 1, 2]}\n")
    watched = Watched(read_study(str(file)), path)
    watched.begin(0.5)
    assert watched.parts()[0].startswith("0/3 trials ended")
    watched.journal.exhaust()
    assert watched.parts()[0].startswith("0/1 trials ended")
