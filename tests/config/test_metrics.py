import math

import pytest

from orthotune.config.metrics import METRICS, TARGETS, reportable

LARGEST = {"train_loss": 1e6, "val_loss": 1e6}


def test_what_a_study_may_minimize_is_reported():
    assert set(TARGETS) < set(METRICS)
    assert len(set(METRICS)) == len(METRICS)
    assert not set(TARGETS) & {"lr", "epoch_time_s", "images_per_s", "diverged"}


@pytest.mark.parametrize("name", [*METRICS, "test_error"])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_an_ordinary_value_is_reported_as_it_is(name, value):
    assert reportable(name, value, diverged=False) == value


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e200])
@pytest.mark.parametrize("diverged", [False, True])
def test_what_is_not_finite_is_reported_as_the_largest_value(name, value, diverged):
    largest = LARGEST.get(name, 1e30)
    if diverged and name == "val_error":
        largest = 1.0
    assert reportable(name, value, diverged) == largest


@pytest.mark.parametrize("name", TARGETS)
def test_a_diverged_trial_is_worse_than_any_other(name):
    if name.endswith(("_error", "_loss")):
        assert reportable(name, 0.0, True) >= reportable(name, 1.0, False)


def test_a_diverged_trial_reports_the_worst_error_and_loss():
    assert reportable("val_error", 0.1, diverged=True) == 1
    assert reportable("test_error", 0.1, diverged=True) == 1
    assert reportable("train_loss", 2.3, diverged=True) == 1e6
    assert reportable("lr", 0.1, diverged=True) == 0.1
