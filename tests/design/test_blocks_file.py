import pytest

from orthotune.design.overview import overview
from tests.ablation.small import RETUNE, TINY
from tests.design.tiny_file import check_wrong, read

TWO = TINY + "blocks: [{data.name: digits}, {data: {name: synthetic}, name: made}]\n"


def test_every_arm_has_the_fields_of_every_block(tmp_path):
    ablation = read(tmp_path, TWO)
    found = [(arm.title, arm.fields["data.name"]) for arm in ablation.all_arms]
    assert found[:4] == [
        ("digits: full", "digits"),
        ("digits: penalty=l2", "digits"),
        ("digits: modulation=off", "digits"),
        ("made: full", "synthetic"),
    ]
    assert len(list(ablation.cells())) == 3 * 3 * 2
    assert {data.name for data in ablation.data()} == {"digits", "synthetic"}
    assert overview(ablation)[-1] == "cells      18: 3 arms x 3 seeds x 2 blocks " + (
        "(digits, made)"
    )


def test_a_block_may_have_a_smallest_effect_of_its_own(tmp_path):
    text = TWO.replace("name: made", "name: made, smallest_effect: 0.1")
    assert [part.smallest_effect for part in read(tmp_path, text).parts] == [0.02, 0.1]


def test_whole_seeds_of_all_blocks_come_first(tmp_path):
    cells = [(seed, arm.block) for arm, seed, _ in read(tmp_path, TWO).cells()]
    assert cells[:6] == [(1, "digits")] * 3 + [(1, "made")] * 3


def test_without_blocks_a_study_asks_what_it_asked_before(tmp_path):
    asked = read(tmp_path, TINY).study().question
    assert not [name for name in asked if "block" in name]
    assert read(tmp_path, TINY).parts == (read(tmp_path, TINY),)
    added = read(tmp_path, TWO).study().question
    assert {k: v for k, v in added.items() if not k.startswith("blocks.")} == asked
    assert added["blocks.made.data.name"] == "synthetic"


def test_where_data_are_is_not_asked(tmp_path):
    text = TWO.replace("{data.name: digits}", "{data.name: digits, data.root: there}")
    assert "blocks.digits.data.root" not in read(tmp_path, text).study().question


def blocks(text):
    return TINY + f"blocks: {text}\n"


WRONG = {
    "one block": (blocks("[{data.name: digits}]"), "must be a list of two or more"),
    "no list": (blocks("{data.name: digits}"), "must be a list of two or more"),
    "an unknown field": (
        blocks("[{data.name: digits}, {data.nam: mnist}]"),
        "`blocks.data.nam` is not a config field. Did you mean `data.name`?",
    ),
    "a value that is not allowed": (
        blocks("[{data.name: digits}, {data.name: synthetic, data.batch_size: 0}]"),
        "`blocks.data.batch_size` must be",
    ),
    "a seed": (blocks("[{data.name: digits}, {seed: 3}]"), "is set by `seeds`"),
    "another length": (
        blocks("[{data.name: digits}, {training.num_epochs: 3}]"),
        "must be the same in all blocks",
    ),
    "what tells arms apart": (
        blocks("[{data.name: digits}, {name: a, modulation.enabled: false}]"),
        "`blocks.modulation.enabled` must not be what tells arms apart",
    ),
    "two of one name": (
        blocks("[{data.name: digits}, {data.name: digits, data.num_train: 100}]"),
        "must differ in their names, but two are digits",
    ),
    "two that are the same": (
        blocks("[{data.name: digits}, {name: b, data.name: digits}]"),
        "must differ, but digits and b run the same",
    ),
    "two places of one data set": (
        blocks("[{data.name: digits, data.root: x}, {name: b, data.name: digits}]"),
        "must have one `data.root` for digits",
    ),
    "no name": (blocks("[{data.name: digits}, {data.num_train: 9}]"), "or a `name`"),
    "a registered network": (
        TWO + "register: net\n",
        "`register` must be absent beside `blocks`",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, kind):
    check_wrong(tmp_path, *WRONG[kind])


def test_a_claim_that_two_are_the_same_needs_a_smallest_effect_on_every_block(tmp_path):
    claim = "claims: [{same: full, as: penalty=l2}]\n"
    text = TWO.replace("name: made", "name: made, smallest_effect: 0") + claim
    check_wrong(tmp_path, text, "must hold `same` only beside a `smallest_effect`")


def test_too_many_trials_to_tune_by_are_counted_over_all_blocks(tmp_path):
    text = TWO + RETUNE.replace("num_trials: 3", "num_trials: 700")
    check_wrong(tmp_path, text, "must give at most 4000 trials with 6 arms")
