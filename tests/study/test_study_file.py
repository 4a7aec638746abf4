"""Malformed study files: each is refused with one sentence that holds file and line."""

import subprocess
import sys

import pytest

from orthotune.commands.search import main
from orthotune.errors import FileError, SearchSpaceError
from orthotune.space.parameters import CategoricalParameter, FloatParameter
from orthotune.study.study_file import read_study
from tests.study.study_files import VALID, check_malformed, space, write

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
    "no_space": ("name: a\n", 1, "must hold at least one parameter"),
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
    "window_that_may_close_before_it_opens": (
        "fixed: {modulation.schedule.kind: window}\nspace:\n"
        "  modulation.schedule.start: {type: float, low: 0, high: 0.8}\n"
        "  modulation.schedule.stop: {type: float, low: 0.2, high: 1}\n",
        4,
        "must be greater than `start` = 0.8, but got 0.2",
    ),
    "fixed_twice": (
        "fixed:\n  model.depth: 8\n  model: {depth: 8}\n",
        3,
        "must not repeat a key, but `model.depth` stands on line 2 too",
    ),
    "a_field_of_a_joint_choice_that_is_fixed": (
        "fixed: {seed: 1}\nspace:\n  run:\n    type: joint\n"
        "    choices: [{seed: 1}, {seed: 2}]\n",
        3,
        "`run` must not have `seed`, which it sets, in `fixed` too",
    ),
    "joint_choice_that_pbt_cannot_perturb": (
        "search: {scheduler: pbt}\nspace:\n  run:\n    type: joint\n"
        "    choices: [{seed: 1}, {seed: 2}]\n",
        3,
        "cannot change in training",
    ),
    "constraints_of_a_population": (
        "search: {scheduler: pbt}\nconstraints: [optimizer.lr <= 0.5]\n"
        + space("{type: float, low: 0.1, high: 1}"),
        2,
        "must be absent for pbt",
    ),
    "accuracy_minimized": (
        "metric: val_accuracy\nmode: min\n",
        2,
        "`mode` must be max for val_accuracy, but got min",
    ),
    "error_maximized": (
        "metric: val_error\nmode: max\n",
        2,
        "must be min for val_error, which is better when smaller.*metric: val_accuracy",
    ),
    "accuracy_by_its_usual_name": ("metric: accuracy\n", 1, "must be one of val_error"),
    "grid_of_a_continuum": (
        "search: {searcher: grid}\n" + space("{type: float, low: 0.1, high: 1}"),
        3,
        "`optimizer.lr` must have at most 4096 values for the searcher grid",
    ),
    "grid_that_is_too_large": (
        "search: {searcher: grid}\nspace:\n"
        "  optimizer.lr: {type: float, low: 0.1, high: 1, step: 0.01}\n"
        "  seed: {type: int, low: 0, high: 99}\n",
        2,
        "`space` must make at most 4096 combinations for the searcher grid",
    ),
    "grid_with_another_number_of_trials": (
        "search: {searcher: grid, num_trials: 7}\nspace:\n"
        "  seed: {type: int, low: 0, high: 9}\n",
        1,
        "must be left out for the searcher grid, which runs all 10 comb.* but got 7",
    ),
    "grid_with_a_combination_that_is_not_allowed": (
        "search: {searcher: grid}\nfixed: {model.family: residual,"
        " modulation.enabled: false}\nspace:\n"
        "  model.widths: {type: categorical, choices: [[4, 4, 4], [8, 4, 4]]}\n",
        4,
        "must not decrease in a residual network",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_exits_2_with_one_sentence_and_creates_nothing(
    case, tmp_path, monkeypatch, capsys
):
    check_malformed(MALFORMED[case], tmp_path, monkeypatch, capsys)


def test_a_bad_file_is_refused_before_anything_heavy_is_imported(tmp_path):
    path = write(tmp_path, space("{type: float, low: 1, high: 0.1}"))
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


def test_a_study_may_be_written_in_sections_or_by_dotted_names(tmp_path):
    nested = """\
search.num_trials: 4
search: {max_epochs: 2}
fixed: {model: {depth: 8}}
space:
  optimizer: {lr: {type: float, low: 1e-3, high: 1e-1, log: true}}
  modulation:
    enabled: {type: categorical, choices: [true, false]}
    threshold: {type: float, low: 0, high: 1, when: {modulation: {enabled: true}}}
name: example
"""
    expected = read_study(str(write(tmp_path, VALID)))
    assert read_study(str(write(tmp_path, nested))) == expected
    changed = {"search": {"num_trials": 9}, "model": {"depth": 20}}
    study = read_study(str(write(tmp_path, nested)), changed)
    assert study.settings.search.num_trials == 9
    assert study.space.fixed["model.depth"] == 20
    with pytest.raises(SearchSpaceError, match=r"--set: `model.depth` must be given"):
        read_study(str(tmp_path / "study.yaml"), {**changed, "model.depth": 8})


def test_a_dict_in_python_may_have_sections_too():
    data = {
        "name": "dict",
        "fixed": {"model": {"depth": 8}},
        "space": {"optimizer": {"lr": {"type": "float", "low": 0.1, "high": 1}}},
    }
    study = read_study(data)
    assert study.space.fixed == {"model.depth": 8}
    assert study.space.fields == ("optimizer.lr",)
    data["fixed"]["model.depth"] = 20
    with pytest.raises(FileError, match=r"<dict>: must not repeat a key, but `model"):
        read_study(data)


JOINT = """\
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  size:
    type: joint
    choices:
      - {model.depth: 8, data.batch_size: 64}
      - {model.depth: 20, data.batch_size: 32}
"""


def test_a_joint_choice_leaves_the_space_when_all_of_it_is_set(tmp_path):
    path = str(write(tmp_path, JOINT))
    study = read_study(path, {"model.depth": 8, "data.batch_size": 16})
    assert study.space.fields == ("optimizer.lr",)
    words = "--set: `model.depth` must be set with all that `size` sets, but `data.batc"
    with pytest.raises(SearchSpaceError, match=words):
        read_study(path, {"model.depth": 8})


def test_a_grid_counts_configurations_that_differ(tmp_path):
    content = (
        "search: {searcher: grid}\nspace:\n"
        "  regularizer.kind: {type: categorical, choices: [none, l2]}\n"
        "  regularizer.coeff: {type: categorical, choices: [1e-4, 1e-3, 1e-2]}\n"
    )
    study = read_study(str(write(tmp_path, content)))
    assert study.settings.search.num_trials == 4  # without a penalty nothing reads it
    read_study(str(write(tmp_path, content)), {"search.num_trials": 4})


def test_what_is_registered_may_be_in_sections_of_any_depth(plugin, tmp_path):
    plugin.load()
    content = """\
fixed: {model: {family: my_net, my_net: {width: 8}}, modulation.enabled: false}
space:
  model:
    my_net:
      kind: {type: categorical, choices: [relu, tanh]}
      dropout: {type: float, low: 0, high: 0.5, when: {model.my_net: {kind: tanh}}}
constraints: [model.my_net.dropout * model.my_net.width <= 3]
"""
    space = read_study(str(write(tmp_path, content))).space
    assert space.fixed["model.my_net.width"] == 8
    assert space.fields == ("model.my_net.kind", "model.my_net.dropout")
    assert space.allows({"model.my_net.dropout": 0.375})
    assert not space.allows({"model.my_net.dropout": 0.38})
