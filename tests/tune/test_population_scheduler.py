import pytest

from orthotune.study.study_file import read_study
from orthotune.tune.population_scheduler import population_scheduler
from tests.studies import PBT


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "pbt.yaml"
    path.write_text(PBT)
    return read_study(str(path))


def test_perturbed_settings_stay_within_the_space(study):
    scheduler = population_scheduler(study, [0, 0, 0, 0])
    explore = scheduler._custom_explore_fn
    config = {
        "optimizer.lr": 3.6,
        "regularizer.coeff": 8e-5,
        "modulation.strength": 0.75,
    }
    assert all(type(value) is float for value in explore(dict(config)).values())
    assert explore(config) == {
        "optimizer.lr": 0.3,
        "regularizer.coeff": 1e-4,
        "modulation.strength": 0.75,
    }
    for name, draw in scheduler._hyperparam_mutations.items():
        parameter = next(p for p in study.space.parameters if p.name == name)
        values = [draw() for _ in range(100)]
        assert parameter.low <= min(values) < max(values) <= parameter.high


def test_lists_and_steps_are_perturbed_to_their_neighbours(tmp_path):
    path = tmp_path / "pbt.yaml"
    path.write_text(
        PBT.split("  optimizer.lr")[0]
        + "  optimizer.lr: {type: categorical, choices: [0.1, 0.01, 0.3]}\n"
        "  modulation.strength: {type: float, low: 0.5, high: 1, step: 0.25}\n"
        "  regularizer.coeff: {type: float, low: 0.1, high: 0.7, step: 0.1}\n"
        "  modulation.threshold: {type: float, low: 0, high: 2, step: 1}\n"
    )
    scheduler = population_scheduler(read_study(str(path)), [])
    assert scheduler._hyperparam_mutations == {
        "optimizer.lr": [0.1, 0.01, 0.3],
        "modulation.strength": [0.5, 0.75, 1.0],
        "regularizer.coeff": pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        "modulation.threshold": [0.0, 1.0, 2.0],
    }
    assert max(scheduler._hyperparam_mutations["regularizer.coeff"]) == 0.7


@pytest.mark.parametrize(
    ("epochs", "first"),
    [([0, 0], 0), ([2, 2], 2), ([1, 2, 3], 4), ([4, 3], 4), ([5], 6)],
)
def test_a_continued_population_meets_where_nobody_has_been(study, epochs, first):
    assert population_scheduler(study, epochs)._burn_in_period == first
