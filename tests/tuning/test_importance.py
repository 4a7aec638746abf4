"""Importances, judged by functions whose true importances are known."""

import math
import random

import pytest

from orthotune.tuning import importance
from orthotune.tuning.importance import FEWEST, MOST, Importance, importances
from orthotune.tuning.journal import TrialRecord
from orthotune.tuning.search_space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    SearchSpace,
)

LR = FloatParameter(name="optimizer.lr", low=1e-4, high=1, log=True)
MOMENTUM = FloatParameter(name="optimizer.momentum", low=0, high=0.8)
BATCH = IntParameter(name="data.batch_size", low=8, high=64, step=8)
ENABLED = CategoricalParameter(name="modulation.enabled", choices=(True, False))
WHEN = {"modulation.enabled": True}
THRESHOLD = FloatParameter(name="modulation.threshold", low=0, high=1, when=WHEN)
STRENGTH = FloatParameter(name="modulation.strength", low=0, high=1, when=WHEN)
KIND = CategoricalParameter(name="model.widths", choices=([4, 4, 4], [4, 8, 8]))


def drawn(parameters, value_of, count=100):
    """Random trials with a metric computed from their values."""
    space, rng = SearchSpace(parameters=tuple(parameters)), random.Random(1)
    records = []
    for number in range(count):
        fields = space.draw(rng)
        record = TrialRecord(number=number, fields=fields)
        record.history[1] = {"val_error": value_of(fields, rng)}
        records.append(record)
    return records


def found(parameters, value_of, count=100, seed=0):
    records = drawn(parameters, value_of, count)
    return importances(parameters, records, "val_error", seed)


def first(shares):
    return next(iter(shares))


@pytest.mark.parametrize("which", [LR, MOMENTUM, BATCH, ENABLED, KIND])
def test_the_one_parameter_that_matters_is_first_by_both_methods(which):
    def value(fields, rng):
        if which in (ENABLED, KIND):
            return which.choices.index(fields[which.name]) + 0.01 * rng.random()
        return fields[which.name] / which.high + 0.01 * rng.random()

    (one,) = found([LR, MOMENTUM, BATCH, ENABLED, KIND], value)
    assert first(one.fanova) == first(one.ped_anova) == which.name
    assert one.fanova[which.name] > 0.9
    assert sum(one.fanova.values()) == pytest.approx(1)
    assert sum(one.ped_anova.values()) == pytest.approx(1)
    assert one.num_trials == one.num_used == 100


def test_fanova_divides_the_variance_on_the_scale_that_is_searched():
    # Uniform in the logarithm, so that 2 : 1 in effect is 4 : 1 in variance; by plain
    # values of the learning rate most of it would lie in the last decade.
    def value(fields, _rng):
        decades, momentum = math.log10(fields[LR.name]) / 4, fields[MOMENTUM.name] / 0.8
        return 2 * decades + momentum

    (one,) = found([LR, MOMENTUM], value, MOST)
    assert one.fanova["optimizer.lr"] == pytest.approx(0.8, abs=0.06)


def test_methods_that_ask_different_things_disagree():
    # One trial in ten is a disaster by the learning rate, which is most of the
    # variance; what makes a good one is the momentum.
    def value(fields, _rng):
        disaster = math.log10(fields["optimizer.lr"]) > -0.4
        return 10.0 if disaster else fields["optimizer.momentum"]

    (one,) = found([LR, MOMENTUM, BATCH], value)
    assert first(one.fanova) == "optimizer.lr"
    assert first(one.ped_anova) == "optimizer.momentum"
    assert not one.agree


@pytest.mark.parametrize(
    ("theirs", "correlation", "agree"),
    # Spearman's 1 - 6 (sum of squared differences) / (n^3 - n)
    [("abcd", 1.0, True), ("acbd", 0.8, True), ("adcb", 0.2, False)],
)
def test_agreement_takes_the_same_first_and_similar_ranks(theirs, correlation, agree):
    shares = (0.4, 0.3, 0.2, 0.1)
    one = Importance(
        group={},
        num_trials=20,
        fanova=dict(zip("abcd", shares, strict=True)),
        ped_anova=dict(zip(theirs, shares, strict=True)),
    )
    assert one.correlation == pytest.approx(correlation)
    assert one.agree == agree


def test_conditional_parameters_are_compared_among_the_trials_that_have_them():
    def value(fields, rng):
        off = 0.5 + 0.01 * rng.random()
        return fields.get("modulation.threshold", off)

    parameters = [LR, MOMENTUM, ENABLED, THRESHOLD, STRENGTH]
    every, some = found(parameters, value, 120)
    assert every.group == {}
    assert set(every.fanova) == {LR.name, MOMENTUM.name, ENABLED.name}
    assert some.group == WHEN
    assert some.num_trials < every.num_trials == 120
    assert set(some.fanova) == {LR.name, MOMENTUM.name, THRESHOLD.name, STRENGTH.name}
    assert first(some.fanova) == first(some.ped_anova) == THRESHOLD.name
    assert list(some.constant) == [ENABLED.name]


def test_a_condition_that_all_trials_meet_makes_no_group():
    always = [LR, ENABLED, THRESHOLD]
    records = drawn(always, lambda fields, rng: rng.random(), 80)
    having = [r for r in records if "modulation.threshold" in r.fields]
    (one,) = importances(always, having, "val_error", 0)
    assert set(one.fanova) == {LR.name, THRESHOLD.name}


def test_a_sentence_stands_for_numbers_that_would_mean_nothing():
    def noise(_fields, rng):
        return rng.random()

    (few,) = found([LR, MOMENTUM], noise, FEWEST - 1)
    assert few.reason == "they take 20 trials, and there are 19."
    (one,) = found([LR], noise)
    assert one.reason == "they compare parameters, and fewer than two vary."
    (same,) = found([LR, MOMENTUM], lambda _fields, _rng: 0.9)
    assert same.reason == "three quarters of the trials have the same `val_error`."
    (none,) = importances([LR, ENABLED, THRESHOLD], [], "val_error", 0)
    for item in (few, one, same, none):
        assert item.reason
        assert not item.fanova
        assert item.agree


def test_many_trials_are_sampled_and_a_seed_gives_the_same_numbers(monkeypatch):
    def value(fields, rng):
        return fields["optimizer.momentum"] + rng.random()

    parameters = [LR, MOMENTUM]
    monkeypatch.setattr(importance, "MOST", 60)
    records = drawn(parameters, value, 110)
    (one,) = importances(parameters, records, "val_error", 3)
    (again,) = importances(parameters, records[::-1], "val_error", 3)
    (other,) = importances(parameters, records, "val_error", 4)
    assert (one.num_trials, one.num_used) == (110, 60)
    assert one == again
    assert one.fanova != other.fanova
