"""Arms that are tuned anew: what is tried, what is chosen, and what is asked again."""

import pytest

from orthotune.errors import DataError
from orthotune.record.identity import definition
from orthotune.study.data import read_data
from tests.ablation.cells import DATA, tiny
from tests.ablation.retuned import RETUNED, asked
from tests.ablation.small import FULL, L2, OFF, RETUNE, TINY


def test_every_arm_is_given_the_same_draws_that_apply_to_it(tmp_path):
    ablation = asked(tmp_path)
    tried = {}
    for arm, number, fields in ablation.tuning():
        tried.setdefault(arm.name, []).append(fields)
        assert fields["seed"] == 0
        assert number == len(tried[arm.name]) - 1
    assert {name: len(own) for name, own in tried.items()} == {FULL: 3, L2: 3, OFF: 3}
    for full, l2, off in zip(*tried.values(), strict=True):
        rates = [one.get("optimizer.lr") for one in (full, l2, off)]
        assert len(set(rates)) == 1
        thresholds = [one.get("modulation.threshold") for one in (full, l2)]
        assert len(set(thresholds)) == 1
        assert "modulation.threshold" not in off
    assert "optimizer.lr" not in tried[FULL][0]  # the shared setting
    assert len({one.get("optimizer.lr") for one in tried[FULL]}) == 3


def test_more_draws_are_the_same_and_further_ones(tmp_path):
    few = asked(tmp_path).retune.draws()
    more = asked(tmp_path, RETUNED.replace("num_trials: 3", "num_trials: 9")).retune
    assert more.draws()[:3] == few


def test_data_that_a_draw_asks_too_much_of_are_refused_before_the_start(tmp_path):
    """A failed trial would run again with every start, and tuning never end."""
    space = "data.batch_size: {type: int, low: 32, high: 65536, log: true}"
    text = RETUNE.replace("    optimizer.lr:", f"    {space}\n    optimizer.lr:")
    without_limit = TINY.replace("  data.num_train: 64\n", "")
    with pytest.raises(DataError, match=r"batch_size"):
        read_data(tiny(tmp_path, without_limit + text).data())


def test_how_arms_are_tuned_cannot_change_under_an_answer(tmp_path):
    before = definition(asked(tmp_path).study(), DATA)
    for old, new in (
        ("num_trials: 3", "num_trials: 4"),
        ("high: 0.5", "high: 0.6"),
        ("when: {modulation.enabled: true}", "when: {regularizer.kind: l2}"),
    ):
        assert old in RETUNED
        assert definition(asked(tmp_path, RETUNED.replace(old, new)).study(), DATA) != (
            before
        )


def test_a_joint_choice_and_conditions_of_several_values_tune_arms(tmp_path):
    space = """\
    size:
      type: joint
      choices:
        - {optimizer.lr: 0.1, optimizer.momentum: 0.5}
        - {optimizer: {lr: 0.01, momentum: 0.9}}
    regularizer.coeff:
      {type: float, low: 1e-4, high: 1, when: {regularizer.kind: [l2, none]}}
    modulation:
      threshold: {type: float, low: 0.1, high: 0.5, when: {optimizer.lr: {low: 0.05}}}
"""
    text = RETUNED.replace("num_trials: 3", "num_trials: 20")
    head, _, tail = text.partition("  space:\n")
    ablation = asked(tmp_path, head + "  space:\n" + space)
    assert "threshold" in tail  # what was replaced
    tried = [(arm.name, fields) for arm, number, fields in ablation.tuning() if number]
    assert len(tried) == 57
    for name, fields in tried:
        rows = [(0.1, 0.5), (0.01, 0.9)]
        assert (fields["optimizer.lr"], fields["optimizer.momentum"]) in rows
        assert ("regularizer.coeff" in fields) == (name == L2)
        given = fields.get("modulation.threshold")
        assert (given is not None) == (fields["optimizer.lr"] == 0.1)
    assert len({fields["optimizer.lr"] for _, fields in tried}) == 2
