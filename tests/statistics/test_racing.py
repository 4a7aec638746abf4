"""A race loses what is worse beyond doubt, and the best with no more than its alpha.

Thousands of races are judged by a rule that is written anew here, on whole arrays; that
the code agrees with it is shown on a few dozen.
"""

import numpy as np
import pytest
from scipy import stats

from orthotune.statistics.racing import ALPHA, race

ROUNDS = 4


def first_leaving(values, *, choices=None):
    """The rounds after which any candidate leaves first, 0 for never, by race.

    Before anybody has left, Holm's smallest p counts as many times as there are
    candidates.

    Args:
        values: (races, candidates, rounds).
        choices: How often each p counts for the choice of the leader.
    """
    num_races, num_candidates, rounds = values.shape
    choices = num_candidates - 1 if choices is None else choices
    level = ALPHA / (rounds - 1)
    left = np.zeros(num_races, dtype=int)
    for done in range(2, rounds + 1):
        seen = values[:, :, :done]
        leader = seen.mean(2).argmin(1)  # (races,)
        best = seen[np.arange(num_races), leader]  # (races, done)
        differences = seen - best[:, None]
        spread = differences.std(2, ddof=1) / np.sqrt(done)
        with np.errstate(invalid="ignore"):  # the leader against itself
            t = differences.mean(2) / spread
        p = np.nan_to_num(stats.t.sf(t, done - 1), nan=1.0)  # (races, candidates)
        leaves = p.min(1) * choices * num_candidates <= level
        left[(left == 0) & leaves] = done
    return left


def raced(values):
    return race([dict(enumerate(row.tolist())) for row in values], values.shape[1])


def test_the_rule_is_the_one_that_was_simulated():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3, ROUNDS)) * 0.02
    values += rng.choice([0.0, 1.0], size=(40, 3, 1))  # so that many leave
    wanted = first_leaving(values).tolist()
    found = [raced(one).left_after for one in values]
    assert [min([n for n in one if n], default=0) for one in found] == wanted
    assert len(set(wanted)) > 2


@pytest.mark.parametrize("num_candidates", [2, 3, 5, 8])
def test_of_equal_candidates_any_leaves_with_alpha_at_most(num_candidates):
    rng = np.random.default_rng(num_candidates)
    num_races = 20_000
    seeds = rng.normal(size=(num_races, 1, ROUNDS))  # what a seed does to all
    values = seeds + rng.normal(size=(num_races, num_candidates, ROUNDS))
    error = 3 * np.sqrt(ALPHA * (1 - ALPHA) / num_races)
    assert (first_leaving(values) > 0).mean() <= ALPHA + error


def test_without_counting_the_choice_of_the_leader_too_many_would_leave():
    values = np.random.default_rng(1).normal(size=(20_000, 8, ROUNDS))
    assert (first_leaving(values, choices=1) > 0).mean() > 2 * ALPHA


def test_of_two_best_ones_and_a_bad_one_neither_best_one_leaves():
    rng = np.random.default_rng(2)
    values = 0.1 + 0.01 * rng.normal(size=(100, 3, ROUNDS))
    values[:, 2] += 1.0
    found = [raced(one).left_after for one in values]
    lost = sum(one[0] is not None or one[1] is not None for one in found)
    assert lost <= 100 * ALPHA + 3 * np.sqrt(100 * ALPHA * (1 - ALPHA))
    assert sum(one[2] is not None for one in found) > 90


def test_who_diverged_by_chance_does_not_leave_for_it():
    worst = [{0: 0.10, 1: 0.12, 2: 0.11}, {0: 1.0, 1: 1.0, 2: 1.0}]
    cells = {(1, 0), (1, 1), (1, 2)}
    assert race(worst, 3).left_after == [None, 2]
    assert race(worst, 3, diverged=cells).left_after == [None, None]
    # The share of all signs, 2 ** -9, of two candidates, at one of eight looks.
    long = [{n: 0.1 + 0.01 * n for n in range(9)}, dict.fromkeys(range(9), 1.0)]
    cells = {(1, n) for n in range(9)}
    assert race(long, 9, diverged=cells).left_after == [None, 9]


def test_who_has_left_needs_no_further_run_and_the_last_one_runs_all():
    values = [{0: 0.10, 1: 0.12, 2: 0.11}, {0: 0.80, 1: 0.83, 2: 0.82}]
    found = race(values, 6)
    assert (found.left_after, found.needed) == ([None, 2], [(0, 3), (0, 4), (0, 5)])


def test_the_first_two_rounds_are_one_look_and_then_every_round_is():
    assert race([{}, {}], 4).needed == [(0, 0), (1, 0), (0, 1), (1, 1)]
    alike = [{0: 0.1, 1: 0.2}, {0: 0.2, 1: 0.1}]
    assert race(alike, 4).needed == [(0, 2), (1, 2)]


def test_one_round_decides_nothing_but_the_order():
    found = race([{0: 0.1}, {0: 0.9}], 1)
    assert (found.left_after, found.needed) == ([None, None], [])


def test_a_run_without_a_value_takes_its_candidate_out_at_the_next_look():
    found = race([{0: 0.1, 1: 0.2}, {0: None, 1: 0.1}, {0: 0.2, 1: 0.1}], 2)
    assert (found.left_after, found.failed) == ([None, 2, None], {1})
    assert race([{0: None, 1: None}], 3).standing == []


def test_candidates_that_come_to_the_same_stay():
    same = dict.fromkeys(range(3), 0.25)
    assert race([same, same, same], 3).left_after == [None] * 3
