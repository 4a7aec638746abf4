import re

import pytest

from orthotune.errors import SearchSpaceError
from orthotune.study.study_file import read_study
from tests.study.study_files import check_malformed, write

SPACE = """\
space:
  model.depth: {type: int, low: 8, high: 110, step: 6}
  data.batch_size: {type: categorical, choices: [32, 64, 128]}
  regularizer.kind: {type: categorical, choices: [none, l2]}
  regularizer.coeff: {type: float, low: 0.1, high: 1, when: {regularizer.kind: l2}}
"""


def constrained(*texts):
    return "constraints:\n" + "".join(f"  - {text}\n" for text in texts) + SPACE


MALFORMED = {
    "no_list": (
        f"constraints: model.depth <= 8\n{SPACE}",
        1,
        "must be a list of at",
    ),
    "too_many": (
        constrained(*(f"model.depth <= {n}" for n in range(30, 51))),
        1,
        "must be a list of at most 20 .* but got 21",
    ),
    "no_text": (constrained("3"), 1, "must hold texts, but got 3"),
    "no_comparison": (constrained("model.depth"), 1, "must be a comparison such as"),
    "code": (
        constrained("\"__import__('os').getpid() <= 1\""),
        1,
        "must hold only numbers, names of fields",
    ),
    "unknown_field": (
        constrained("model.dept <= 8"),
        1,
        "names `model.dept`, which is not a config field. Did you mean `model.depth`",
    ),
    "field_of_words": (
        constrained("regularizer.kind <= 8"),
        1,
        "must name fields that are numbers, but `regularizer.kind` in .* can be the",
    ),
    "field_that_may_be_null": (
        constrained("data.num_train <= 10 * model.depth"),
        1,
        "must name fields that are numbers, but `data.num_train` in .* can be None",
    ),
    "field_of_lists": (
        constrained("model.widths <= model.depth"),
        1,
        "must name fields that are numbers, but `model.widths`",
    ),
    "nothing_that_varies": (
        constrained("optimizer.lr <= 1"),
        1,
        "must name a field of `space`, but `optimizer.lr <= 1` names none",
    ),
    "fixed_against_it": (
        "fixed: {optimizer.lr: 2}\n" + constrained("optimizer.lr <= 1"),
        2,
        "must hold for what is fixed, but `optimizer.lr <= 1` does not",
    ),
    "twice": (
        constrained("model.depth <= 8", "model.depth  <=  8"),
        1,
        "must not repeat one",
    ),
    "no_point_in_a_finite_space": (
        "constraints: [model.depth == 15]\nspace:\n"
        "  model.depth: {type: int, low: 8, high: 110, step: 6}\n",
        1,
        "must be met by a configuration, but none of all 18 does",
    ),
    "no_point_in_a_continuum": (
        constrained("model.depth * data.batch_size < 0"),
        1,
        "must be met by at least 4 of 4000 random configurations, but none did",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_exits_2_with_one_sentence_and_creates_nothing(
    case, tmp_path, monkeypatch, capsys
):
    check_malformed(MALFORMED[case], tmp_path, monkeypatch, capsys)


def test_what_a_trial_does_not_have_counts_with_its_default(tmp_path):
    """The default of the penalty's weight is 1e-3."""
    content = constrained("regularizer.coeff <= 0.5", "regularizer.coeff >= 1e-3")
    space = read_study(str(write(tmp_path, content))).space
    assert space.allows({"regularizer.kind": "none"})
    assert not space.allows({"regularizer.kind": "l2", "regularizer.coeff": 0.6})


def test_the_epochs_of_a_constraint_are_those_of_the_search(tmp_path):
    content = "search: {max_epochs: 7}\n" + constrained(
        "training.num_epochs * model.depth <= 140"
    )
    space = read_study(str(write(tmp_path, content))).space
    assert space.allows({"model.depth": 20})
    assert not space.allows({"model.depth": 26})


def test_what_is_set_for_one_run_counts_in_the_constraints(tmp_path):
    path = str(write(tmp_path, constrained("model.depth * data.batch_size <= 3000")))
    space = read_study(path, {"model.depth": 44}).space
    assert space.allows({"data.batch_size": 64})
    assert not space.allows({"data.batch_size": 128})
    both = {"model.depth": 44, "data.batch_size": 64}
    assert read_study(path, both).space.constraints  # which nothing can violate
    with pytest.raises(SearchSpaceError, match=re.escape("hold for what is fixed")):
        read_study(path, {**both, "data.batch_size": 256})


def test_a_constraint_is_kept_without_its_spaces(tmp_path):
    content = constrained("model.depth  *   data.batch_size<=3000")
    (constraint,) = read_study(str(write(tmp_path, content))).space.constraints
    assert constraint.text == "model.depth * data.batch_size<=3000"
    assert constraint.names == ("model.depth", "data.batch_size")
