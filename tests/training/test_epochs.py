import io

import pytest

from orthotune.config.trial import TrialConfig
from orthotune.training import epochs as module
from orthotune.training.epochs import run_epochs
from orthotune.training.loop import Trial
from orthotune.training.progress import ProgressLine
from tests import small


@pytest.fixture
def slow_trial(monkeypatch):
    """A trial of 2 epochs of 3 updates; an update takes 10 s, and evaluation 30 s."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    trial = Trial(TrialConfig.from_dict({**small.FIELDS, "training.num_epochs": 2}))
    update, measure = trial._update, trial._measure

    def wait(seconds, call, *args, **how):
        now[0] += seconds
        return call(*args, **how)

    trial._step = lambda *args, **how: wait(10, update, *args, **how)
    trial._measure = lambda: wait(30, measure)
    return trial


def test_the_time_left_is_told_within_the_first_epoch(slow_trial):
    stream = io.StringIO()
    epochs = run_epochs(slow_trial, ProgressLine(stream))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "epoch 0/2  33% of epoch 1  50 s left"
    assert lines[1] == "epoch 0/2  67% of epoch 1  40 s left"
    first = "train_loss {train_loss:.4f}  val_error {val_error:.4f}".format(**epochs[0])
    assert lines[3] == f"epoch 1/2  {first}  1 min 00 s left"
    assert lines[4] == f"epoch 1/2  {first}  33% of epoch 2  35 s left"
    assert lines[-1].startswith("epoch 2/2  train_loss ")
    assert lines[-1].endswith("  0 s left")


def test_epochs_that_take_no_time_are_told_whole(monkeypatch):
    monkeypatch.setattr(module.time, "monotonic", lambda: 0.0)
    trial = Trial(TrialConfig.from_dict({**small.FIELDS, "training.num_epochs": 2}))
    stream = io.StringIO()
    epochs = run_epochs(trial, ProgressLine(stream, every_s=0.0))
    assert [line[:9] for line in stream.getvalue().splitlines()] == [
        "epoch 1/2",
        "epoch 2/2",
    ]
    assert len(epochs) == 2
    assert epochs[-1] == trial.metrics


def test_of_a_trial_that_goes_on_the_pace_is_that_of_its_new_epochs(slow_trial):
    slow_trial.run_epoch()
    stream = io.StringIO()
    run_epochs(slow_trial, ProgressLine(stream))
    assert stream.getvalue().splitlines()[0] == "epoch 1/2  33% of epoch 2  20 s left"
