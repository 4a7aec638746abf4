import pytest

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
        "must be one of tpe, random, gp, qmc, grid, but got the string 'bohb'",
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
