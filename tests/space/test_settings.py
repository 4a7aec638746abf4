from dataclasses import replace

import pytest

from orthotune.schema.fields import build
from orthotune.space.settings import SearchSettings, StudySettings
from tests.study.study_files import check_malformed, space

MALFORMED = {
    "wrong_type": (
        "search:\n  num_trials: many\n" + space("{}"),
        2,
        "must be an integer in \\[1, 1e\\+06\\], but got the string 'many'",
    ),
    "bool_as_number": (
        "search:\n  num_trials: true\n" + space("{}"),
        2,
        "must be an integer .* but got True",
    ),
    "absurd_number": (
        f"search:\n  num_trials: {'9' * 500}\n" + space("{}"),
        2,
        "must be an integer",
    ),
    "unknown_metric": ("metric: accuracy\n", 1, "must be one of val_error"),
    "unknown_searcher": (
        "search: {searcher: bohb}\n" + space("{}"),
        1,
        "must be one of tpe, random, gp, qmc, grid, nsga2, but got the string 'bohb'",
    ),
    "costs_alone": (
        "metric: num_macs\n" + space("{}"),
        1,
        "must begin with what is to be learned, .* but got num_macs alone",
    ),
    "one_metric_twice": (
        "metric: [val_error, val_accuracy]\n" + space("{}"),
        1,
        "must be at most 3 different metrics, but got",
    ),
    "modes_of_others": (
        "metric: [val_error, num_macs]\nmode: [min]\n" + space("{}"),
        2,
        "must be as many as `metric` has, 2, but got",
    ),
    "larger_costs": (
        "metric: [val_accuracy, num_macs]\nmode: [max, max]\n" + space("{}"),
        2,
        "must be min for num_macs",
    ),
    "several_metrics_and_a_scheduler": (
        "metric: [val_error, num_macs]\nsearch: {scheduler: asha}\n" + space("{}"),
        2,
        "must be none for several metrics, .* but got asha",
    ),
    "several_metrics_of_a_gaussian_process": (
        "metric: [val_error, num_macs]\nsearch: {searcher: gp}\n" + space("{}"),
        2,
        "must be tpe, nsga2, random, qmc or grid for several metrics, but got gp",
    ),
    "one_metric_of_nsga2": (
        "search: {searcher: nsga2}\n" + space("{}"),
        1,
        "must be tpe, random, gp, qmc or grid for one metric, but got nsga2",
    ),
    "a_start_for_a_grid": (
        "search: {searcher: grid, start_from: [a]}\n" + space("{}"),
        1,
        "must be left out for pbt, grid and qmc",
    ),
    "a_start_without_a_list": (
        "search: {start_from: earlier}\n" + space("{}"),
        1,
        "must be a list of strings, but got the string 'earlier'",
    ),
    "grace_beyond_budget": (
        "search:\n  max_epochs: 3\n  grace_epochs: 5\n" + space("{}"),
        3,
        "must be at most `search.max_epochs` = 3, but got 5",
    ),
    "audit_of_more_than_all": (
        "search:\n  audit: 1.5\n" + space("{}"),
        2,
        "must be a number in \\[0, 1\\], but got 1.5",
    ),
    "audit_of_a_population": (
        "search:\n  scheduler: pbt\n  audit: 0.1\n" + space("{}"),
        3,
        "must be as by default for pbt, which stops no trial, but got 0.1",
    ),
    "signals_of_a_population": (
        "search:\n  scheduler: pbt\n  stop_on_signal: true\n" + space("{}"),
        3,
        "must be as by default for pbt, which stops no trial, but got True",
    ),
    "signals_of_several_metrics": (
        "metric: [val_error, num_macs]\n"
        "search:\n  scheduler: none\n  stop_on_signal: true\n" + space("{}"),
        4,
        "must be false for several metrics",
    ),
    "bad_name": ("name: a/b\n" + space("{}"), 1, "letters, digits, dots"),
    "gpus_between_one_and_two": (
        "resources:\n  gpus: 1.5\n" + space("{}"),
        2,
        "must be a fraction of one GPU or a whole number, but got 1.5",
    ),
    "gpus_by_another_word": (
        "resources: {gpus: automatic}\n" + space("{}"),
        1,
        r"must be a number in \[0, 1024\] or auto, but got the string 'automatic'",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_exits_2_with_one_sentence_and_creates_nothing(
    case, tmp_path, monkeypatch, capsys
):
    check_malformed(MALFORMED[case], tmp_path, monkeypatch, capsys)


def test_one_metric_in_a_list_is_that_metric():
    one = StudySettings(metric="val_loss")
    assert build(StudySettings, {"metric": ["val_loss"]}) == one
    assert one.asked_metric == "val_loss"


def test_accuracy_among_several_metrics_is_the_error():
    search = SearchSettings(scheduler="none")
    given = {"metric": ["val_accuracy", "epoch_time_s"], "mode": ["max", "min"]}
    found = build(StudySettings, {**given, "search.scheduler": "none"})
    assert found.objectives == ("val_error", "epoch_time_s")
    assert found.search == search
    assert replace(found, name="other").objectives == found.objectives
