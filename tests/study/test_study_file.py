"""Malformed study files: each is refused with one sentence that holds file and line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orthotune.commands.search import main
from orthotune.errors import FileError, SearchSpaceError
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
)
from orthotune.study.study_file import read_study

VALID = """\
name: example
search: {num_trials: 4, max_epochs: 2}
fixed:
  model.depth: 8
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  modulation.enabled: {type: categorical, choices: [true, false]}
  modulation.threshold: {type: float, low: 0, high: 1, when: {modulation.enabled: true}}
"""


def space(entry):
    return f"space:\n  optimizer.lr: {entry}\n"


# name: (content, line of the error or None for the file as a whole, words of the error)
MALFORMED = {
    "empty": ("", 1, "is empty"),
    "only_comment": ("# nothing\n", 1, "is empty"),
    "list": ("- a\n- b\n", 1, "got a list"),
    "scalar": ("just words\n", 1, "got a single value"),
    "binary": (b"\x7fELF\x00\x01\x02\x03", 1, "Is it a YAML file"),
    "not_utf8": (b"name: a\nmetric: caf" + b"\xe9\n", 2, "must be UTF-8"),
    "tab": ("search:\n\tnum_trials: 3\n", 2, "must be valid YAML"),
    "unclosed": ("space: {a: [1, 2\n", 2, "must be valid YAML"),
    "two_documents": ("name: a\n---\nname: b\n", 2, "must be valid YAML"),
    "python_tag": (
        "name: !!python/object/apply:os.system [id]\n",
        1,
        "must not use tags",
    ),
    "alias": ("fixed: &a {seed: 1}\nspace: *a\n", 2, "must not use aliases"),
    "recursive_alias": ("space: &a {b: *a}\n", 1, "must not use aliases"),
    "deep": ("space: " + "[" * 60 + "]" * 60 + "\n", 1, "levels deep"),
    "duplicate_key": (
        "space:\n  optimizer.lr: 1\n  optimizer.lr: 2\n",
        3,
        "stands on line 2 too",
    ),
    "number_as_key": ("space:\n  1: {type: float}\n", 2, "words as keys"),
    "unknown_top": ("serch: {}\n", 1, "Did you mean `search`"),
    "unknown_search": (
        "search: {num_trails: 3}\n" + space("{}"),
        1,
        "`search.num_trails` is not a key here. Did you mean `num_trials`",
    ),
    "search_not_mapping": ("search: 3\n", 1, "must be a mapping of keys, but got 3"),
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
    "infinite": (space("{type: float, low: 1, high: .inf}"), 2, "must be a number"),
    "nan": (space("{type: float, low: .nan, high: 1}"), 2, "must be a number"),
    "unknown_metric": ("metric: accuracy\n", 1, "must be one of val_error"),
    "unknown_searcher": (
        "search: {searcher: grid}\n" + space("{}"),
        1,
        "must be one of tpe, random, gp, but got the string 'grid'",
    ),
    "grace_beyond_budget": (
        "search:\n  max_epochs: 3\n  grace_epochs: 5\n" + space("{}"),
        3,
        "must be at most `search.max_epochs` = 3, but got 5",
    ),
    "bad_name": ("name: a/b\n" + space("{}"), 1, "letters, digits, dots"),
    "no_space": ("name: a\n", 1, "must hold at least one parameter"),
    "unknown_field": (
        "space:\n  optimiser.lr: {type: float, low: 0.1, high: 1}\n",
        2,
        "`optimiser.lr` is not a config field. Did you mean `optimizer.lr`",
    ),
    "unknown_fixed": ("fixed:\n  model.dept: 8\n", 2, "Did you mean `model.depth`"),
    "fixed_out_of_range": (
        "fixed:\n  model.depth: 45\n",
        2,
        r"must be 6n \+ 2 .* but got 45. Nearest: 44 or 50",
    ),
    "fixed_and_space": (
        "fixed: {optimizer.lr: 0.1}\n" + space("{type: float, low: 0.1, high: 1}"),
        3,
        "both in `space` and in `fixed`",
    ),
    "entry_not_mapping": (space("0.1"), 2, "single value belongs under `fixed`"),
    "no_type": (space("{low: 0.1, high: 1}"), 2, "`optimizer.lr.type` must be one of"),
    "unknown_type": (
        space("{type: real, low: 0.1, high: 1}"),
        2,
        "must be one of float, int, categorical, but got the string 'real'",
    ),
    "unknown_key": (
        space("{type: float, low: 0.1, hihg: 1}"),
        2,
        "`optimizer.lr.hihg` is not a key here. Did you mean `high`",
    ),
    "choices_of_float": (
        space("{type: float, low: 0.1, high: 1, choices: [1]}"),
        2,
        "`optimizer.lr.choices` is not a key here",
    ),
    "missing_bound": (space("{type: float, low: 0.1}"), 2, "must give `high`"),
    "string_bound": (
        space("{type: float, low: fast, high: 1}"),
        2,
        "`optimizer.lr.low` must be a number, but got the string 'fast'",
    ),
    "inverted": (
        space("{type: float, low: 1, high: 0.1}"),
        2,
        "`optimizer.lr.high` must be greater than `low` = 1, but got 0.1",
    ),
    "log_of_zero": (
        "space:\n  regularizer.coeff:\n    type: float\n    low: 0\n"
        "    high: 1\n    log: true\n",
        4,
        "`regularizer.coeff.low` must be > 0 when `log: true`, but got 0",
    ),
    "log_with_step": (
        space("{type: float, low: 0.1, high: 1, log: true, step: 0.1}"),
        2,
        "must be absent when `log: true`",
    ),
    "negative_step": (
        space("{type: float, low: 0.1, high: 1, step: -0.1}"),
        2,
        r"`optimizer.lr.step` must be a number in \(0",
    ),
    "out_of_field_range": (
        space("{type: float, low: 0, high: 1}"),
        2,
        r"must be a number in \(0, 100\], but got 0",
    ),
    "log_not_boolean": (
        space("{type: float, low: 0.1, high: 1, log: on}"),
        2,
        "must be true or false, but got the string 'on'",
    ),
    "float_for_int_field": (
        "space:\n  data.batch_size: {type: float, low: 8.5, high: 64}\n",
        2,
        "must be",
    ),
    "int_bound_not_integer": (
        "space:\n  data.batch_size: {type: int, low: 8, high: 64.5}\n",
        2,
        "must be an integer, but got 64.5",
    ),
    "int_between_depths": (
        "space:\n  model.depth: {type: int, low: 20, high: 44}\n",
        2,
        "but got 21. Nearest: 20 or 26",
    ),
    "numeric_for_boolean": (
        "space:\n  modulation.enabled: {type: int, low: 0, high: 1}\n",
        2,
        "must be categorical here",
    ),
    "choices_not_list": (
        "space:\n  data.augment: {type: categorical, choices: yes}\n",
        2,
        "must be a list of values",
    ),
    "one_choice": (
        "space:\n  data.augment: {type: categorical, choices: [true]}\n",
        2,
        "at least two values",
    ),
    "repeated_choice": (
        "space:\n  data.augment: {type: categorical, choices: [true, true]}\n",
        2,
        "must not repeat a value",
    ),
    "wrong_choice": (
        "space:\n  init.scheme: {type: categorical, choices: [he, xavier]}\n",
        2,
        "must be one of orthonormal, he, but got the string 'xavier'",
    ),
    "when_not_mapping": (
        space("{type: float, low: 0.1, high: 1, when: always}"),
        2,
        "must be a mapping",
    ),
    "when_on_missing_key": (
        space("{type: float, low: 0.1, high: 1, when: {init.scheme: he}}"),
        2,
        "names `init.scheme`, which is neither in `space` nor in `fixed`",
    ),
    "when_on_itself": (
        space("{type: float, low: 0.1, high: 1, when: {optimizer.lr: 0.5}}"),
        2,
        "must name a categorical or an int, but `optimizer.lr` is a float",
    ),
    "when_on_impossible_value": (
        "space:\n  init.scheme: {type: categorical, choices: [he, orthonormal]}\n"
        "  optimizer.lr: {type: float, low: 0.1, high: 1, when: {init.scheme: xy}}\n",
        3,
        "must be a value `init.scheme` can take",
    ),
    "cycle": (
        "space:\n"
        "  data.augment: {type: categorical, choices: [true, false],"
        " when: {init.scheme: he}}\n"
        "  init.scheme: {type: categorical, choices: [he, orthonormal],"
        " when: {data.augment: true}}\n",
        2,
        "`data.augment` and `init.scheme` wait for each other",
    ),
    "epochs_fixed": (
        "fixed:\n  training.num_epochs: 5\n",
        2,
        "is set by `search.max_epochs`",
    ),
    "epochs_searched": (
        "space:\n  training.num_epochs: {type: int, low: 1, high: 5}\n",
        2,
        "is set by `search.max_epochs`",
    ),
    "test_split_in_a_search": (
        "fixed:\n  training.evaluate_test: true\n",
        2,
        "the test split is for a configuration already chosen",
    ),
    "step_that_misses_the_upper_bound": (
        space("{type: float, low: 0.1, high: 1, step: 0.4}"),
        2,
        "`optimizer.lr.step` must divide `high` - `low` = 0.9, but got 0.4",
    ),
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
    "modulated_residual": (
        "fixed: {modulation.enabled: true}\n"
        "space:\n  model.family: {type: categorical, choices: [plain, residual]}\n",
        1,
        "must be false for `model.family` residual.*model.family=residual",
    ),
    "what_no_trial_reads": (
        "space:\n  optimizer.lr: {type: float, low: 1e-3, high: 1e-1}\n"
        "  optimizer.schedule.gamma: {type: float, low: 0.1, high: 0.5}\n",
        3,
        "changes nothing here: no trial of this space reads it",
    ),
    "what_trials_read_only_if_switched_on": (
        "fixed: {modulation.enabled: false}\n"
        "space:\n  modulation.threshold: {type: float, low: 0, high: 1}\n",
        3,
        "changes nothing here",
    ),
    "step_at_the_end_of_its_type": (
        space("{type: float, low: 0.1, high: 1, step: 5e-324}"),
        2,
        "step` must make at most 1000000 steps of `high` - `low` = 0.9, but got 4.94",
    ),
    "bounds_at_the_ends_of_their_type": (
        space("{type: float, low: -1e308, high: 1e308, step: 1e307}"),
        2,
        r"`optimizer.lr.low` must be a number in \(0, 100\], but got -1e.308",
    ),
    "bounds_that_no_float_holds": (
        f"space:\n  seed: {{type: int, low: -{10**308}, high: {10**308}, step: 7}}\n",
        2,
        r"`seed.low` must be an integer in .* but got an integer of about 1e308",
    ),
    "too_many_steps": (
        space("{type: float, low: 0.1, high: 1, step: 1e-7}"),
        2,
        "must make at most 1000000 steps .* but got 1e-07. Give a larger one",
    ),
    "too_many_integers": (
        "space:\n  seed: {type: int, low: 0, high: 9223372036854775807}\n",
        2,
        "`seed` must make at most 1000000 steps, but makes 9223372036854775807. Give",
    ),
    "too_many_integers_for_their_step": (
        "space:\n  seed: {type: int, low: 0, high: 9000000000, step: 3}\n",
        2,
        "at most 1000000 steps of `high` - `low` = 9e.09, but got 3. Give a lar",
    ),
    "too_many_choices": (
        f"space:\n  seed: {{type: categorical, choices: {list(range(1001))}}}\n",
        2,
        "must hold at most 1000 values, but holds 1001",
    ),
    "one_long_choice": (
        f"space:\n  model.widths: {{type: categorical, choices: [{[8] * 3}]}}\n",
        2,
        r"at least two values, but got \[\[8, 8, 8\]\]",
    ),
    "condition_between_integers": (
        "space:\n  seed: {type: int, low: 0, high: 1000000}\n"
        "  optimizer.lr: {type: float, low: 0.1, high: 1, when: {seed: 0.5}}\n",
        3,
        r"must be a value `seed` can take \(integer in \[0, 1000000\]\), but got 0.5",
    ),
    "condition_true_for_an_integer": (
        "space:\n  seed: {type: int, low: 0, high: 9}\n"
        "  optimizer.lr: {type: float, low: 0.1, high: 1, when: {seed: true}}\n",
        3,
        "can take .* but got True",
    ),
    "window_that_may_close_before_it_opens": (
        "fixed: {modulation.schedule.kind: window}\nspace:\n"
        "  modulation.schedule.start: {type: float, low: 0, high: 0.8}\n"
        "  modulation.schedule.stop: {type: float, low: 0.2, high: 1}\n",
        4,
        "must be greater than `start` = 0.8, but got 0.2",
    ),
}


def write(folder, content):
    path = folder / "study.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_exits_2_with_one_sentence_and_creates_nothing(
    case, tmp_path, monkeypatch, capsys
):
    content, line, words = MALFORMED[case]
    write(tmp_path, content)
    monkeypatch.chdir(tmp_path)
    assert main(["study.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"orthotune: study.yaml:{line}: ")
    assert re.search(words, captured.err), captured.err
    assert os.listdir(tmp_path) == ["study.yaml"]


def test_a_bad_file_is_refused_before_anything_heavy_is_imported(tmp_path):
    path = write(tmp_path, MALFORMED["inverted"][0])
    script = (
        "import sys; from orthotune.commands.search import main; "
        "code = main(sys.argv[1:]); "
        "heavy = {'torch', 'ray', 'mlflow', 'optuna'} & set(sys.modules); "
        "print(code, sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout == "2 []\n"


def test_a_missing_file_is_refused(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere.yaml")]) == 2
    assert "nowhere.yaml: must be a readable file, but: No such" in (
        capsys.readouterr().err
    )


def test_a_valid_file_is_read_to_the_last_value(tmp_path):
    study = read_study(str(write(tmp_path, VALID)))
    assert study.settings.name == "example"
    assert study.settings.search.num_trials == 4
    assert study.settings.search.searcher == "tpe"
    lr, enabled, threshold = study.space.parameters
    assert lr == FloatParameter(name="optimizer.lr", low=1e-3, high=0.1, log=True)
    assert enabled == CategoricalParameter(
        name="modulation.enabled", choices=(True, False)
    )
    assert threshold.when == {"modulation.enabled": True}
    fields = study.trial_fields({"optimizer.lr": 0.01})
    assert fields == {
        "model.depth": 8,
        "optimizer.lr": 0.01,
        "training.num_epochs": 2,
    }


def test_the_name_of_the_file_is_the_default_name(tmp_path):
    content = VALID.replace("name: example\n", "")
    assert read_study(str(write(tmp_path, content))).settings.name == "study"


def test_conditions_are_put_after_what_they_name(tmp_path):
    content = (
        "space:\n"
        "  modulation.threshold: {type: float, low: 0, high: 1,"
        " when: {modulation.enabled: true}}\n"
        "  modulation.enabled: {type: categorical, choices: [true, false]}\n"
    )
    parameters = read_study(str(write(tmp_path, content))).space.parameters
    assert [parameter.name for parameter in parameters] == [
        "modulation.enabled",
        "modulation.threshold",
    ]


def test_a_condition_may_name_a_choice_with_a_decimal_point(tmp_path):
    content = (
        "space:\n"
        "  optimizer.momentum: {type: categorical, choices: [0.0, 0.9]}\n"
        "  optimizer.nesterov: {type: categorical, choices: [true, false],"
        " when: {optimizer.momentum: 0.9}}\n"
    )
    nesterov = read_study(str(write(tmp_path, content))).space.parameters[1]
    assert nesterov.when == {"optimizer.momentum": 0.9}


def test_set_is_blamed_for_its_own_values_only(tmp_path):
    path = str(write(tmp_path, "search: {seed: -1}\n" + space("{}")))
    with pytest.raises(SearchSpaceError, match=r"study\.yaml:1: `search\.seed` must"):
        read_study(path, {"seed": 3})


def test_bounds_of_integers_with_a_step(tmp_path):
    content = "space:\n  model.depth: {type: int, low: 20, high: 110, step: 6}\n"
    (depth,) = read_study(str(write(tmp_path, content))).space.parameters
    assert depth == IntParameter(name="model.depth", low=20, high=110, step=6)
    assert depth.size == 16


def test_set_changes_a_key_of_the_file(tmp_path):
    path = str(write(tmp_path, VALID))
    study = read_study(path, {"search.num_trials": 9, "name": "other"})
    assert study.settings.search.num_trials == 9
    assert study.settings.name == "other"


def test_set_fixes_a_field_which_leaves_the_space(tmp_path):
    path = str(write(tmp_path, VALID))
    study = read_study(path, {"modulation.enabled": False, "model.depth": 20})
    names = [parameter.name for parameter in study.space.parameters]
    assert names == ["optimizer.lr"]  # what needs modulation has gone with it
    assert study.space.fixed == {"model.depth": 20, "modulation.enabled": False}


def test_a_switch_that_is_set_may_leave_parameters_without_effect(tmp_path):
    text = "space:\n  modulation.threshold: {type: float, low: 0, high: 1}\n"
    path = str(write(tmp_path, text))
    assert len(read_study(path).space.parameters) == 1
    read_study(path, {"modulation.enabled": False})


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"search.num_trails": 3}, "--set: `search.num_trails` is not a key"),
        ({"search.num_trials": 0}, "--set: `search.num_trials` must be an integer in"),
        ({"model.depth": 9}, "--set: `model.depth` must be 6n"),
        ({"training.num_epochs": 9}, "--set: .* is set by `search.max_epochs`"),
        ({"optimizer.lr": 1e-4, "modulation.enabled": True}, None),
    ],
)
def test_settings_are_checked_like_the_file(tmp_path, overrides, words):
    path = str(write(tmp_path, VALID))
    if words is None:
        assert len(read_study(path, overrides).space.parameters) == 1
        return
    with pytest.raises(SearchSpaceError, match=words):
        read_study(path, overrides)


def test_every_parameter_set_leaves_nothing_to_search(tmp_path):
    content = "space:\n  optimizer.lr: {type: float, low: 0.1, high: 1}\n"
    path = str(write(tmp_path, content))
    with pytest.raises(SearchSpaceError, match="at least one parameter"):
        read_study(path, {"optimizer.lr": 0.5})


def test_an_unreadable_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match="must be a readable file, but: Is a directory"):
        read_study(str(tmp_path))


def test_line_numbers_do_not_depend_on_line_ends(tmp_path):
    content = VALID.replace("\n", "\r\n").replace("low: 1e-3", "low: x")
    path = Path(tmp_path, "study.yaml")
    path.write_bytes(content.encode())
    with pytest.raises(SearchSpaceError, match=r"study.yaml:6: `optimizer.lr.low`"):
        read_study(str(path))
