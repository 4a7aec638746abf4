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
    assert lines_of(tmp_path, text)[-2] == (
        "rungs      about 9 go on after 1, 3 go on after 3 epochs (asha; more at first)"
    )
    assert lines_of(tmp_path, text.replace("9}", "9, scheduler: none}"))[-2] == (
        "rungs      none: every trial runs its full budget"
    )


def test_a_small_space_gives_no_more_trials_than_it_holds(tmp_path):
    text = "search: {num_trials: 27}\nspace:\n"
    text += "  data.augment: {type: categorical, choices: [true, false]}\n"
    assert lines_of(tmp_path, text)[2].startswith("trials     2 by tpe, seed 0, ")


def test_a_population_is_told_with_its_comparisons_and_confirmation(tmp_path):
    *_, population, confirmed = lines_of(tmp_path, PBT)
    assert population.startswith("population compared every 2 epochs; ")
    assert confirmed == (
        "confirmed  the best 3 schedules from scratch, with 2 fresh seeds each: 6 runs "
        "at most"
    )


def test_a_search_says_what_of_it_is_confirmed_or_that_nothing_is(tmp_path):
    text = "search: {num_trials: 4SPACE}\nspace:\n"
    text += "  optimizer.lr: {type: float, low: 0.1, high: 1}\n"
    assert lines_of(tmp_path, text.replace("SPACE", ""))[-1] == (
        "confirmed  nothing: what is first is not shown to be best"
    )
    asked = text.replace("SPACE", ", confirm: {top: 5, seeds: 2}")
    assert lines_of(tmp_path, asked)[-1] == (
        "confirmed  the best 5 trials from scratch, with 2 fresh seeds each: 8 runs at "
        "most"
    )
