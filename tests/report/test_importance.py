"""Importances, judged by functions whose true importances are known."""

import math
import random

import pytest

from orthotune.record.trial_record import Status, TrialRecord
from orthotune.report import importance
from orthotune.report.importance import EVERY, FEWEST, MOST, Importance, importances
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
)
from orthotune.space.search_space import SearchSpace

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
        group=EVERY,
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
    assert every.group == EVERY
    assert set(every.fanova) == {LR.name, MOMENTUM.name, ENABLED.name}
    assert some.group == "trials with modulation.enabled = True"
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


def test_a_parameter_that_some_trials_do_not_read_is_compared_among_those_that_do():
    # Without a penalty its weight is drawn all the same, and must not count there.
    kind = CategoricalParameter(
        name="regularizer.kind", choices=("orthonormal", "l2", "none")
    )
    coeff = FloatParameter(name="regularizer.coeff", low=0, high=1)

    def value(fields, rng):
        if fields["regularizer.kind"] == "none":
            return fields["optimizer.momentum"]
        return fields["regularizer.coeff"] + 0.01 * rng.random()

    records = drawn([MOMENTUM, kind, coeff], value, 120)
    penalized = sum(r.fields["regularizer.kind"] != "none" for r in records)
    every, some = importances([MOMENTUM, kind, coeff], records, "val_error", 0)
    assert set(every.fanova) == set(every.ped_anova) == {MOMENTUM.name, kind.name}
    assert some.group == "trials in which regularizer.coeff is in effect"
    assert some.num_trials == penalized < 120
    assert first(some.fanova) == first(some.ped_anova) == coeff.name
    assert some.fanova[coeff.name] > 0.95


def test_parameters_of_one_ingredient_share_a_group_and_its_name():
    free = [FloatParameter(name=p.name, low=0, high=1) for p in (THRESHOLD, STRENGTH)]
    every, some = found([LR, ENABLED, *free], lambda _fields, rng: rng.random(), 80)
    assert set(every.fanova) == {LR.name, ENABLED.name}
    assert some.group == (
        "trials in which modulation.threshold and modulation.strength are in effect"
    )


def test_a_parameter_that_is_in_effect_nowhere_is_said_to_be():
    records = drawn([LR, MOMENTUM], lambda _fields, rng: rng.random(), 30)
    for record in records:
        record.fields |= {"modulation.enabled": False, "modulation.threshold": 0.5}
    every, none = importances([LR, MOMENTUM, THRESHOLD], records, "val_error", 0)
    assert set(every.fanova) == {LR.name, MOMENTUM.name}
    assert none.group == "trials in which modulation.threshold is in effect"
    assert none.reason == "they take 20 trials, and there is none."


def stopped(parameters, value_of, ends, **fields):
    """Trials with as many epochs as given; `value_of(epoch, fields)` after each."""
    records = drawn(parameters, lambda _fields, _rng: 0, len(ends))
    for record, end in zip(records, ends, strict=True):
        record.fields |= fields
        record.status = Status.FINISHED if end == max(ends) else Status.STOPPED
        record.history = {
            epoch: {"val_error": value_of(epoch, record.fields)}
            for epoch in range(1, end + 1)
        }
    return records


def rate_and_then_momentum(epoch, fields):
    """Early on the learning rate decides, from epoch 3 on the momentum alone."""
    return (math.log10(fields[LR.name]) if epoch < 3 else fields[MOMENTUM.name]) + 5


@pytest.mark.parametrize(
    ("ends", "epoch", "count", "name"),
    [
        # 8 of 30 trials have run the full budget, too few to compare.
        ([9] * 8 + [2] * 22, 2, 30, LR.name),
        ([9] * 8 + [4] * 12 + [2] * 10, 4, 20, MOMENTUM.name),
        ([9] * 8 + [4] * 11 + [2] * 11, 2, 30, LR.name),
        ([9] * 20 + [2] * 10, 9, 20, MOMENTUM.name),
    ],
)
def test_trials_are_compared_at_the_deepest_epoch_that_enough_have_reached(
    ends, epoch, count, name
):
    records = stopped([LR, MOMENTUM], rate_and_then_momentum, ends)
    (one,) = importances([LR, MOMENTUM], records, "val_error", 0)
    assert (one.epoch, one.num_trials) == (epoch, count)
    assert first(one.fanova) == first(one.ped_anova) == name
    assert one.fanova[name] > 0.95


def test_what_diverged_or_failed_does_not_count_for_an_epoch():
    records = stopped([LR, MOMENTUM], rate_and_then_momentum, [4] * 22)
    for record, status in zip(
        records, (Status.DIVERGED, Status.OOM, Status.FAILED), strict=False
    ):
        record.status = status
    (few,) = importances([LR, MOMENTUM], records, "val_error", 0)
    assert few.reason == "they take 20 trials, and there are 19."
    records[0].status = Status.INTERRUPTED
    (one,) = importances([LR, MOMENTUM], records, "val_error", 0)
    assert (one.epoch, one.num_trials) == (4, 20)


def test_a_group_may_be_compared_at_an_epoch_of_its_own():
    # 24 run on to epoch 4; of those with modulation on, 20 have reached only epoch 2.
    records = stopped([LR, MOMENTUM], rate_and_then_momentum, [4] * 24 + [2] * 10)
    for number, record in enumerate(records):
        on = 14 <= number
        record.fields["modulation.enabled"] = on
        record.fields |= {THRESHOLD.name: number / 40} if on else {}
    parameters = [LR, MOMENTUM, ENABLED, THRESHOLD]
    every, some = importances(parameters, records, "val_error", 0)
    assert (every.group, every.epoch, every.num_trials) == (EVERY, 4, 24)
    assert (some.epoch, some.num_trials) == (2, 20)
    assert THRESHOLD.name in some.fanova


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
