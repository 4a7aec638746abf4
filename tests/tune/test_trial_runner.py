"""What runs trials again: no Ray is started here."""

from types import SimpleNamespace

import pytest

from orthotune.tune import trial_runner as fitting
from orthotune.tune.stopper import StudyStopper


class Dying(fitting.TrialRunner):
    """One whose workers die in every fit, after so many epochs."""

    def __init__(self, folder, epochs):
        self.journal = SimpleNamespace(num_reports=0, num_ended=0, open=["trial"])
        self.stopper = StudyStopper()
        self.folder = folder
        self.epochs = list(epochs)
        self.fits = 0

    def _fit(self, tuner):
        self.fits += 1
        self.journal.num_reports += self.epochs.pop(0)
        self.stopper.again = bool(self.epochs)  # or else the trials have ended


def test_nodes_may_be_taken_away_as_often_as_epochs_come_between(tmp_path):
    runner = Dying(tmp_path, [1, *[0] * (fitting.MAX_IN_VAIN - 1)] * 3)
    runner.search()
    assert runner.fits == 3 * fitting.MAX_IN_VAIN
    assert runner.stopper.error is None


@pytest.mark.parametrize("num_good", [0, 30])
def test_workers_that_die_within_moments_again_and_again_stop_the_study(
    tmp_path, num_good
):
    runner = Dying(tmp_path, [1] * num_good + [0] * 100)
    runner.search()
    assert runner.fits == num_good + fitting.MAX_IN_VAIN
    assert "but they die again and again" in str(runner.stopper.error)
