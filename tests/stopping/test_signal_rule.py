import random

import pytest

from orthotune.record.trial_record import Status
from orthotune.space.settings import SearchSettings
from orthotune.stopping.signal_rule import (
    FEATURES,
    FEWEST,
    features,
    is_active,
    learn_rule,
    stopped_on_signal,
)
from tests.made_records import metrics, record

SEARCH = SearchSettings(
    max_epochs=9, grace_epochs=3, reduction_factor=3, stop_on_signal=True
)
EPOCHS = 9


def trial(number, rank, *, good, rng):
    """A good one has features of a higher rank after its first epoch."""
    end = rng.uniform(0.0, 0.1) if good else rng.uniform(0.5, 0.6)
    one = record(number, [0.9] * (EPOCHS - 1) + [end])
    signals = {name: rng.uniform(0.5, 2) for name in FEATURES}
    one.history[1] |= signals | {"feature_rank": rank * rng.uniform(0.8, 1.2)}
    return one


@pytest.fixture
def trials():
    """A third of them good."""
    rng = random.Random(0)
    return [
        trial(n, rank=8.0 if n % 3 == 0 else 1.5, good=n % 3 == 0, rng=rng)
        for n in range(30)
    ]


def learned(records, search=SEARCH):
    return learn_rule(search, "val_error", records)


def signals(rank):
    return dict.fromkeys(FEATURES, 1.0) | {"feature_rank": rank}


def test_the_rule_finds_what_tells_good_from_bad(trials):
    rule = learned(trials)
    assert (rule.num_good, rule.num_bad) == (10, 20)
    assert max(rule.coefficients, key=rule.coefficients.get) == "feature_rank"
    assert rule.coefficients["feature_rank"] > 1
    assert rule.condemns(signals(1.5))
    assert not rule.condemns(signals(8.0))
    assert rule.chance(signals(1.5)) < rule.chance(signals(4)) < rule.chance(signals(8))


def test_what_says_nothing_stops_nobody():
    rng = random.Random(1)
    same = [trial(n, rank=4.0, good=n % 3 == 0, rng=rng) for n in range(60)]
    condemned = sum(learned(same).condemns(one.history[1]) for one in same)
    assert condemned <= 3  # a third of all are good


def test_too_few_of_one_outcome_teach_nothing(trials):
    assert learned(trials[: 3 * FEWEST - 1]).chance(signals(1.5)) is None
    assert not learned(trials[: 3 * FEWEST - 1]).condemns(signals(1.5))
    assert learned(trials[: 3 * FEWEST]).chance(signals(1.5)) < 0.5
    assert learned([]).chance(signals(1.5)) is None


def test_the_rule_does_not_know_what_runs_what_it_stopped_or_what_an_audit_saw(trials):
    known = learned(trials).chance(signals(3))
    more = [trial(100 + n, 1.0, good=False, rng=random.Random(n)) for n in range(4)]
    more[0].status = Status.RUNNING
    more[1].status, more[1].history = Status.STOPPED, {1: more[1].history[1]}
    more[2].audit = {n: more[2].history[n] for n in range(2, 10)}
    more[2].history = {1: more[2].history[1]}
    more[3].status, more[3].error = Status.FAILED, "ValueError: broken"
    assert [stopped_on_signal(SEARCH, r) for r in more] == [False, True, True, False]
    assert learned([*trials, *more]).chance(signals(3)) == known


def test_those_that_came_further_are_better_and_the_diverged_are_worst():
    rng = random.Random(0)
    records = [trial(n, 8.0, good=False, rng=rng) for n in range(5)]
    for n in range(5, 15):
        one = trial(n, 1.5, good=True, rng=rng)  # better, but stopped or diverged
        one.status = Status.STOPPED if n % 2 else Status.DIVERGED
        one.history = {e: one.history[e] for e in range(1, 4 if n % 2 else 10)}
        records.append(one)
    rule = learned(records)
    assert rule.condemns(signals(1.5))
    assert not rule.condemns(signals(8.0))


def test_a_trial_without_its_signals_is_let_go(trials):
    rule = learned(trials)
    assert features(metrics(0.5)) is None
    assert not rule.condemns(metrics(0.5))
    assert features({**signals(1.5), "diverged": 1.0}) is None


def test_there_is_nothing_to_decide_where_the_scheduler_decides_as_early():
    assert is_active(SEARCH)
    assert is_active(SearchSettings(scheduler="none", stop_on_signal=True))
    assert not is_active(SearchSettings(grace_epochs=1, stop_on_signal=True))
    assert not is_active(SearchSettings(grace_epochs=3))
