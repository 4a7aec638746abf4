"""Epochs to expect of trials under halving, against a simulation of its trials."""

import random
import statistics

import pytest

from orthotune.space.rungs import Epochs, expected_epochs, expected_rest, rungs
from orthotune.space.settings import SearchSettings

ASHA = SearchSettings(max_epochs=16, grace_epochs=2, reduction_factor=3)


def drawn(search, epoch, passing, rng):
    """The epochs of one trial that goes on after `epoch`."""
    for rung in rungs(search):
        if rung > epoch and rng.random() > passing[rung]:
            return rung - epoch
    return search.max_epochs - epoch


@pytest.mark.parametrize("epoch", [0, 1, 2, 5, 6, 15])
def test_mean_and_variance_are_those_of_simulated_trials(epoch):
    rng = random.Random(0)
    passing = {2: 0.5, 6: 0.25}
    assert set(rungs(ASHA)) == set(passing)
    trials = [drawn(ASHA, epoch, passing, rng) for _ in range(20_000)]
    found = expected_rest(ASHA, epoch, passing)
    assert found.mean == pytest.approx(statistics.fmean(trials), rel=0.02)
    variance = statistics.pvariance(trials)
    assert found.variance == pytest.approx(variance, rel=0.05, abs=1e-9)


def test_a_trial_that_has_passed_a_rung_is_past_it():
    sure = {2: 0.0, 6: 0.0}
    assert expected_rest(ASHA, 0, sure) == Epochs(2.0, 0.0)
    assert expected_rest(ASHA, 2, sure) == Epochs(4.0, 0.0)
    assert expected_rest(ASHA, 6, sure) == Epochs(10.0, 0.0)
    assert expected_rest(ASHA, 16, sure) == Epochs(0.0, 0.0)


def test_without_halving_every_trial_runs_its_budget():
    for scheduler in ("none", "pbt"):
        search = SearchSettings(max_epochs=16, scheduler=scheduler)
        assert expected_rest(search, 3) == Epochs(13.0, 0.0)


def test_trials_add_up():
    one = Epochs(3.0, 2.0)
    assert one + one == one.times(2) == Epochs(6.0, 4.0)
    assert expected_epochs(ASHA) == pytest.approx(2 + 4 / 3 + 10 / 9)
