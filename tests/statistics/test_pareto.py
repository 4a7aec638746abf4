import warnings

import numpy as np
import optuna
import pytest

from orthotune.statistics.pareto import hypervolume, on_front, spread


def told(points):
    """A study of Optuna's with these results."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize"] * len(points[0]))
    for point in points:
        study.add_trial(optuna.trial.create_trial(values=list(point)))
    return study


@pytest.mark.parametrize("metrics", [2, 3])
def test_the_front_is_optunas(metrics):
    rng = np.random.default_rng(metrics)
    points = rng.integers(0, 12, (60, metrics)).astype(float)  # with ties
    theirs = {trial.number for trial in told(points.tolist()).best_trials}
    ours = {place for place, there in enumerate(on_front(points)) if there}
    assert ours == theirs


@pytest.mark.parametrize("metrics", [2, 3])
def test_the_hypervolume_is_optunas(metrics):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization.matplotlib import plot_hypervolume_history

    rng = np.random.default_rng(metrics)
    points = rng.random((25, metrics)) * 1.2
    reference = [1.0] * metrics
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        axes = plot_hypervolume_history(told(points.tolist()), reference)
    theirs = axes.lines[0].get_ydata()
    pyplot.close("all")
    ours = [hypervolume(points[: n + 1], reference) for n in range(len(points))]
    assert ours == pytest.approx(theirs)


def test_a_hypervolume_by_chance_is_the_share_of_points_that_are_dominated():
    rng = np.random.default_rng(0)
    front = rng.random((6, 3))
    drawn = rng.random((40_000, 3))
    dominated = np.any(np.all(front[:, None] <= drawn, axis=2), axis=0)
    assert hypervolume(front, [1, 1, 1]) == pytest.approx(dominated.mean(), abs=0.01)


def test_those_that_are_spread_keep_the_ends_and_leave_out_what_is_crowded():
    x = np.array([0, 0.01, 0.02, 0.5, 0.98, 0.99, 1])
    found = spread(np.stack([x, 1 - x], axis=1), 3)
    assert found == [0, 3, 6]
    assert spread([(0, 1), (1, 0)], 5) == [0, 1]
