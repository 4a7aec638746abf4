import pytest

from orthotune.space.parameters import IntParameter, JointParameter
from orthotune.study.study_file import read_study
from tests.study.study_files import check_malformed, space, write

KINDS = """\
space:
  regularizer.kind: {type: categorical, choices: [none, l2]}
  optimizer.lr:
    type: float
    low: 0.1
    high: 1
"""

DEPTHS = KINDS.replace("regularizer.kind", "model.depth").replace(
    "type: categorical, choices: [none, l2]", "type: int, low: 8, high: 20, step: 6"
)


def joint(choices):
    return f"space:\n  size:\n    type: joint\n    choices: {choices}\n"


MALFORMED = {
    "infinite": (space("{type: float, low: 1, high: .inf}"), 2, "must be a number"),
    "nan": (space("{type: float, low: .nan, high: 1}"), 2, "must be a number"),
    "unknown_field": (
        "space:\n  optimiser.lr: {type: float, low: 0.1, high: 1}\n",
        2,
        "`optimiser.lr` is not a config field. Did you mean `optimizer.lr`",
    ),
    "entry_not_mapping": (space("0.1"), 2, "single value belongs under `fixed`"),
    "no_type": (space("{low: 0.1, high: 1}"), 2, "`optimizer.lr.type` must be one of"),
    "unknown_type": (
        space("{type: real, low: 0.1, high: 1}"),
        2,
        "must be one of float, int, categorical, joint, but got the string 'real'",
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
        "must be one of orthonormal, he, as_built, but got the string 'xavier'",
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
        "must give bounds of `optimizer.lr`, such as {low: 0.1}, because that is a fl",
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
    "step_that_misses_the_upper_bound": (
        space("{type: float, low: 0.1, high: 1, step: 0.4}"),
        2,
        "`optimizer.lr.step` must divide `high` - `low` = 0.9, but got 0.4",
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
    "neither_section_nor_parameter": (
        "space:\n  optimizer:\n    lr: 0.1\n",
        3,
        "`optimizer.lr` must be a mapping such as {type: float.* `fixed`",
    ),
    "wrong_in_a_section": (
        "space:\n  optimizer:\n    lr: {type: float, low: 1, high: 0.1}\n",
        3,
        "`optimizer.lr.high` must be greater than `low` = 1",
    ),
    "one_parameter_in_two_ways": (
        "space:\n  optimizer:\n    lr: {type: float, low: 0.1, high: 1}\n"
        "  optimizer.lr: {type: float, low: 0.1, high: 1}\n",
        4,
        "must not repeat a key, but `optimizer.lr` stands on line 3 too",
    ),
    "condition_of_no_values": (
        KINDS + "    when: {regularizer.kind: []}\n",
        7,
        "must give 1 to 1000 values of `regularizer.kind`, but got 0",
    ),
    "condition_of_a_value_that_cannot_be": (
        KINDS + "    when: {regularizer.kind: [l2, l3]}\n",
        7,
        "must be a value `regularizer.kind` can take .*, but got the string 'l3'",
    ),
    "condition_of_bounds_of_words": (
        KINDS + "    when: {regularizer.kind: {low: 1}}\n",
        7,
        "must give values of `regularizer.kind`, which has no bounds, but got .*>= 1",
    ),
    "condition_of_bounds_beyond": (
        DEPTHS + "    when: {model.depth: {low: 21}}\n",
        7,
        r"must leave values `model.depth` can take .*, but got model.depth >= 21",
    ),
    "condition_of_bounds_between_two_steps": (
        DEPTHS + "    when: {model.depth: {low: 9, high: 13}}\n",
        7,
        "must leave values `model.depth` can take .*, but got 9 <= model.depth <= 13",
    ),
    "condition_of_turned_bounds": (
        DEPTHS + "    when: {model.depth: {low: 14, high: 8}}\n",
        7,
        "must give bounds of `model.depth` in their order",
    ),
    "condition_of_empty_bounds": (
        DEPTHS + "    when: {model.depth: {}}\n",
        7,
        "must give a value of `model.depth`, several, or bounds {low",
    ),
    "condition_of_a_bound_that_is_a_word": (
        DEPTHS + "    when: {model.depth: {low: deep}}\n",
        7,
        "must be a number, but got the string 'deep'",
    ),
    "condition_in_two_ways": (
        DEPTHS + "    when: {model.depth: 8, model: {depth: 8}}\n",
        7,
        "must be unambiguous, but `model.depth` must be given once",
    ),
    "joint_without_choices": (joint("none"), 4, "must be a list of values"),
    "joint_of_one": (joint("[{seed: 1}]"), 4, "must hold at least two values"),
    "joint_of_equals": (
        joint("[{seed: 1}, {seed: 1}]"),
        4,
        "must not repeat a value",
    ),
    "joint_of_no_mappings": (
        joint("[1, 2]"),
        4,
        "must be mappings such as {model.depth: 44, data.batch_size: 64}, but got 1",
    ),
    "joint_of_different_fields": (
        joint("[{seed: 1, model.depth: 8}, {seed: 2}]"),
        4,
        "must set the same fields in every choice, but `model.depth` is not in all",
    ),
    "joint_of_an_unknown_field": (
        joint("[{sed: 1}, {sed: 2}]"),
        4,
        "`size.choices.sed` is not a config field. Did you mean `seed`",
    ),
    "joint_of_a_value_that_is_not_allowed": (
        joint("[{model: {depth: 8}}, {model: {depth: 9}}]"),
        4,
        r"`size.choices.model.depth` must be 6n \+ 2 .*, but got 9",
    ),
    "joint_named_as_a_field": (
        joint("[{seed: 1}, {seed: 2}]").replace("size", "seed"),
        2,
        "must be a name of its own for type joint",
    ),
    "joint_with_bounds": (
        joint("[{seed: 1}, {seed: 2}]\n    low: 1"),
        5,
        "`size.low` is not a key here",
    ),
    "joint_and_parameter_of_one_field": (
        joint("[{seed: 1}, {seed: 2}]\n  seed: {type: int, low: 0, high: 3}"),
        5,
        "`seed` must not set `seed`, which `size` sets too. Delete one",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_exits_2_with_one_sentence_and_creates_nothing(
    case, tmp_path, monkeypatch, capsys
):
    check_malformed(MALFORMED[case], tmp_path, monkeypatch, capsys)


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


def test_bounds_of_integers_with_a_step(tmp_path):
    content = "space:\n  model.depth: {type: int, low: 20, high: 110, step: 6}\n"
    (depth,) = read_study(str(write(tmp_path, content))).space.parameters
    assert depth == IntParameter(name="model.depth", low=20, high=110, step=6)
    assert depth.size == 16


def read(tmp_path, content):
    return read_study(str(write(tmp_path, content))).space


def test_bounds_of_a_condition_may_be_on_a_float_and_on_numbers_to_choose(tmp_path):
    space = read(
        tmp_path,
        "space:\n"
        "  optimizer.lr: {type: float, low: 0.01, high: 1}\n"
        "  data.batch_size: {type: categorical, choices: [32, 64, 128]}\n"
        "  optimizer.momentum: {type: float, low: 0, high: 0.9, when:"
        " {optimizer: {lr: {high: 0.5}}, data.batch_size: {low: 64}}}\n",
    )
    momentum = space.parameters[2]
    values = {"optimizer.lr": 0.5, "data.batch_size": 64}
    assert space.is_active(momentum, values)
    assert not space.is_active(momentum, {**values, "optimizer.lr": 0.51})
    assert not space.is_active(momentum, {**values, "data.batch_size": 32})


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        ("[4, 8, 8]", [[4, 8, 8]]),
        ("[[4, 8, 8], [8, 8, 8]]", [[4, 8, 8], [8, 8, 8]]),
        ("[[4, 8, 8]]", [[4, 8, 8]]),
    ],
)
def test_a_list_is_the_value_of_a_field_that_holds_lists(tmp_path, wanted, met):
    space = read(
        tmp_path,
        "space:\n"
        "  model.widths: {type: categorical,"
        " choices: [[4, 8, 8], [8, 8, 8], [4, 4, 4]]}\n"
        "  optimizer.lr: {type: float, low: 0.1, high: 1,"
        f" when: {{model.widths: {wanted}}}}}\n",
    )
    widths, lr = space.parameters
    found = [one for one in widths.choices if space.is_active(lr, {widths.name: one})]
    assert found == met


def test_a_parameter_may_be_written_in_sections_with_any_key(tmp_path):
    flat = "  optimizer.schedule.start: {type: float, low: 0, high: 0.4}\n"
    nested = (
        "  optimizer:\n    schedule:\n"
        "      start:\n        {type: float, low: 0, high: 0.4}\n"
    )
    head = "fixed: {optimizer.schedule.kind: window}\nspace:\n"
    assert read(tmp_path, head + flat) == read(tmp_path, head + nested)
    dotted = "space.optimizer.lr: {type: float, low: 0.1, high: 1}\n"
    assert read(tmp_path, dotted) == read(
        tmp_path, space("{type: float, low: 0.1, high: 1}")
    )


def test_a_joint_choice_is_read_in_the_order_of_its_first_row(tmp_path):
    content = (
        "space:\n  size:\n    type: joint\n    choices:\n"
        "      - {model.depth: 8, data.batch_size: 64}\n"
        "      - {data: {batch_size: 32}, model: {depth: 20}}\n"
    )
    (size,) = read(tmp_path, content).parameters
    assert size == JointParameter(
        name="size",
        sets=("model.depth", "data.batch_size"),
        choices=((8, 64), (20, 32)),
    )
