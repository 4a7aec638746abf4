from orthotune.study.overview import overview
from orthotune.study.study_file import read_study
from tests.studies import PBT


def lines_of(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return overview(read_study(str(path)))


def test_rungs_are_told_by_the_trials_that_go_on(tmp_path):
    text = "search: {num_trials: 27, max_epochs: 9}\nspace:\n"
    text += "  optimizer.lr: {type: float, low: 0.1, high: 1}\n"
    assert lines_of(tmp_path, text)[-1] == (
        "rungs      about 9 go on after 1, 3 go on after 3 epochs (asha; more at first)"
    )
    assert lines_of(tmp_path, text.replace("9}", "9, scheduler: none}"))[-1] == (
        "rungs      none: every trial runs its full budget"
    )


def test_a_small_space_gives_no_more_trials_than_it_holds(tmp_path):
    text = "search: {num_trials: 27}\nspace:\n"
    text += "  data.augment: {type: categorical, choices: [true, false]}\n"
    assert lines_of(tmp_path, text)[2].startswith("trials     2 by tpe, seed 0, ")


def test_a_population_is_told_with_its_comparisons_and_validation(tmp_path):
    *_, population, validation = lines_of(tmp_path, PBT)
    assert population.startswith("population compared every 2 epochs; ")
    assert validation == (
        "validation 6 trials at most: the best 3 schedules from scratch, 2 seeds each"
    )
