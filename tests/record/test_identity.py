import json

import pytest

from orthotune.record.identity import definition, differences, trial_key
from orthotune.study.study_file import read_study

DATA = {"synthetic": "5120", "digits": "1797"}
BASE = {"data.name": "synthetic", "optimizer.lr": 0.01, "training.num_epochs": 3}


@pytest.mark.parametrize(
    "change",
    [
        {"data.root": "elsewhere"},
        {"data.download": True},
        {"training.evaluate_test": True},
        {"model.depth": 44},  # its default
        {"model.widths": [16, 32, 64]},
        {"optimizer.lr": 1e-2},
        {"modulation.enabled": True},
    ],
)
def test_what_cannot_change_a_result_does_not_change_a_trials_key(change):
    assert trial_key({**BASE, **change}, DATA) == trial_key(BASE, DATA)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"training.num_epochs": 4},
        {"optimizer.lr": 0.010000000000000002},
        {"model.widths": [16, 32, 65]},
        {"modulation.enabled": False},
        {"modulation.threshold": 0.3},
        {"data.name": "digits"},
        {"data.num_train": 100},
    ],
)
def test_what_can_change_a_result_changes_a_trials_key(change):
    assert trial_key({**BASE, **change}, DATA) != trial_key(BASE, DATA)


def test_the_fields_of_what_is_switched_off_do_not_count():
    off = {**BASE, "modulation.enabled": False}
    more = {**off, "modulation.threshold": 0.3}
    assert trial_key(off, DATA) == trial_key(more, DATA)


def test_a_key_changes_with_its_own_data_and_no_other():
    key = trial_key(BASE, DATA)
    assert key != trial_key(BASE, {**DATA, "synthetic": "changed"})
    assert key == trial_key(BASE, {**DATA, "digits": "changed"})


def test_a_key_depends_on_neither_the_order_of_fields_nor_how_numbers_are_written():
    turned = dict(reversed(BASE.items()))
    assert trial_key(turned, DATA) == trial_key(BASE, DATA)
    one = {**BASE, "optimizer.lr": 1}
    assert trial_key(one, DATA) == trial_key({**one, "optimizer.lr": 1.0}, DATA)
    assert len(trial_key(BASE, DATA)) == 16


def asked(tiny_file, overrides=None, data=DATA):
    return definition(read_study(str(tiny_file), overrides or {}), data)


@pytest.mark.parametrize(
    "change",
    [
        {"search.num_trials": 400},
        {"search.time_budget_s": 60.0},
        {"search.max_concurrent": 1},
        {"search.keep_checkpoints": 0},
        {"resources.cpus": 2},
        {"data.root": "elsewhere"},
        {"data.download": True},
    ],
)
def test_how_much_and_where_is_no_part_of_the_question(tiny_file, change):
    assert differences(asked(tiny_file, change), asked(tiny_file)) == []


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"metric": "val_loss"}, '`metric` was "val_error" and is "val_loss"'),
        ({"search.seed": 2}, "`search.seed` was 1 and is 2"),
        ({"search.max_epochs": 4}, "`search.max_epochs` was 3 and is 4"),
        ({"search.searcher": "gp"}, '`search.searcher` was "tpe" and is "gp"'),
        ({"search.scheduler": "none"}, '`search.scheduler` was "asha" and is "none"'),
        ({"search.grace_epochs": 2}, "`search.grace_epochs` was 1 and is 2"),
        ({"search.reduction_factor": 4}, "`search.reduction_factor` was 3 and is 4"),
        ({"model.depth": 14}, "`fixed.model.depth` was 8 and is 14"),
        ({"seed": 7}, "`fixed.seed` was absent and is 7"),
    ],
)
def test_another_question_is_told_by_what_differs(tiny_file, change, phrase):
    assert differences(asked(tiny_file, change), asked(tiny_file)) == [phrase]


def test_other_data_is_another_question(tiny_file):
    changed = asked(tiny_file, data={**DATA, "synthetic": "5121"})
    assert differences(changed, asked(tiny_file)) == [
        '`data synthetic` was "5120" and is "5121"'
    ]


def test_another_space_is_another_question(tiny_file, tmp_path):
    changed = tmp_path / "changed.yaml"
    text = tiny_file.read_text()
    changed.write_text(text.replace("high: 1e-1", "high: 2e-1"))
    (phrase,) = differences(asked(changed), asked(tiny_file))
    assert phrase.startswith("`space.optimizer.lr` was {")
    before, after = phrase.split(" and is ")
    assert '"high": 0.1' in before
    assert '"high": 0.2' in after
    changed.write_text(text.replace(", when: {regularizer.kind: orthonormal}", ""))
    (phrase,) = differences(asked(changed), asked(tiny_file))
    assert "`space.regularizer.coeff`" in phrase
    changed.write_text(text.replace("[[4, 4, 4], [4, 8, 8]]", "[[4, 4, 4], [4, 4, 8]]"))
    (phrase,) = differences(asked(changed), asked(tiny_file))
    assert "[[4, 4, 4], [4, 8, 8]]" in phrase


def test_a_definition_is_the_same_when_it_is_read_again(tiny_file):
    now = asked(tiny_file)
    assert json.loads(json.dumps(now)) == now
    assert differences(now, json.loads(json.dumps(now))) == []


def test_what_is_there_no_more_is_absent():
    assert differences({}, {"metric": "absent"}) == [
        '`metric` was "absent" and is absent'
    ]


JOINT = """\
name: tiny
space:
  size:
    type: joint
    choices:
      - {model.depth: 8, data.batch_size: 64}
      - {model.depth: 14, data.batch_size: 32}
  optimizer.lr: {type: float, low: 1e-3, high: 1, when: {model.depth: [8, 14]}}
constraints: [data.batch_size * optimizer.lr <= 8]
"""


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("batch_size: 32", "batch_size: 16", "space.size"),
        ("size:\n", "scale:\n", "space.size"),
        ("<= 8]", "<= 9]", "constraints"),
        ("constraints: [data.batch_size * optimizer.lr <= 8]\n", "", "constraints"),
        ("[8, 14]", "{low: 8}", "space.optimizer.lr"),
    ],
)
def test_other_joint_choices_conditions_and_constraints_are_another_question(
    old, new, name, tmp_path
):
    path = tmp_path / "joint.yaml"
    path.write_text(JOINT)
    before = asked(path)
    assert json.loads(json.dumps(before)) == before
    assert old in JOINT
    path.write_text(JOINT.replace(old, new))
    phrases = differences(asked(path), before)
    assert any(phrase.startswith(f"`{name}` was ") for phrase in phrases)


def test_how_a_file_is_written_is_no_part_of_the_question(tmp_path):
    path = tmp_path / "joint.yaml"
    path.write_text(JOINT)
    before = asked(path)
    nested = JOINT.replace("optimizer.lr: {type", "optimizer:\n    lr: {type").replace(
        "{model.depth: 8, data.batch_size: 64}",
        "{model: {depth: 8}, data: {batch_size: 64}}",
    )
    path.write_text(nested.replace("* optimizer.lr", "*  optimizer.lr"))
    assert json.dumps(asked(path)) == json.dumps(before)


def test_a_setting_that_came_later_is_part_of_a_study_only_where_it_is_set(tiny_file):
    before = definition(read_study(str(tiny_file)), DATA)
    assert not {"search.audit", "search.stop_on_signal"} & before.keys()
    audited = definition(read_study(str(tiny_file), {"search.audit": 0.25}), DATA)
    assert differences(audited, before) == ["`search.audit` was absent and is 0.25"]
    same = read_study(str(tiny_file), {"search.audit": 0})
    assert definition(same, DATA) == before
