from dataclasses import replace

from orthotune.record.study_definition import Listed, Study
from orthotune.space.parameters import CategoricalParameter
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import ConfirmSettings, SearchSettings, StudySettings


def study(num_choices, **search):
    choices = tuple(range(num_choices))
    lr = CategoricalParameter(name="optimizer.lr", choices=choices)
    space = SearchSpace(parameters=(lr,), fixed={"model.depth": 8})
    settings = StudySettings(search=SearchSettings(**search))
    return Study(path="a.yaml", settings=settings, space=space)


def test_a_search_comes_to_no_more_trials_than_its_space_holds():
    assert study(9, num_trials=5).num_runs == 5
    assert study(3, num_trials=5).num_runs == 3


def test_the_trials_that_confirm_others_are_counted():
    confirm = ConfirmSettings(seeds=2)
    population = study(9, num_trials=4, scheduler="pbt", max_epochs=8, confirm=confirm)
    assert population.num_runs == 4 + 3 * 2  # three, where nothing is said
    confirm = ConfirmSettings(top=5, seeds=2)
    assert study(9, num_trials=20, confirm=confirm).num_runs == 9 + 5 * 2


def test_a_list_comes_to_its_trials_whatever_a_search_would():
    listed = (Listed(fields={}, group="full", label="seed 1"),) * 2
    assert replace(study(9, num_trials=5), listed=listed).num_runs == 2


def test_a_suggested_value_stands_above_a_fixed_one_and_the_budget_above_both():
    given = {"model.depth": 14, "training.num_epochs": 99}
    assert study(3, max_epochs=7).trial_fields(given) == {
        "model.depth": 14,
        "training.num_epochs": 7,
    }
