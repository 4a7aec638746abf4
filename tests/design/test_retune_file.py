import pytest

from orthotune.design.ablation_file import read_ablation
from orthotune.errors import AblationError
from tests.ablation.retuned import RETUNED
from tests.ablation.small import RETUNE, TINY
from tests.design.tiny_file import check_wrong, read

WRONG = {
    "re-tuning of another type": (
        TINY + "retune: 3\n",
        ":17: `retune` must be a mapping of keys, but got 3.",
    ),
    "re-tuning with an unknown key": (
        TINY + RETUNE.replace("num_trials", "trials"),
        ":18: `retune.trials` is not a key here. Did you mean `num_trials`?",
    ),
    "re-tuning by one trial": (
        TINY + RETUNE.replace("num_trials: 3", "num_trials: 1"),
        ":18: `retune.num_trials` must be an integer in [2, 1000], but got 1.",
    ),
    "re-tuning without a budget": (
        TINY + RETUNE.replace("  num_trials: 3\n", ""),
        ":17: `retune.num_trials` must be an integer in [2, 1000], but got None.",
    ),
    "re-tuning with a seed of the ablation": (
        TINY + RETUNE + "  seed: 2\n",
        ":23: `retune.seed` must be none of `seeds`, but is 2",
    ),
    "re-tuning of nothing": (
        TINY + "retune: {num_trials: 3}\n",
        ":17: `retune.space` must hold at least one parameter, but is empty.",
    ),
    "re-tuning of an unknown field": (
        TINY + RETUNE.replace("optimizer.lr", "optimizer.rate"),
        ":20: `retune.space.optimizer.rate` is not a config field.",
    ),
    "re-tuning of the seed": (
        TINY + RETUNE.replace("optimizer.lr", "seed"),
        ":20: `retune.space.seed` is set by `seeds` and `retune.seed`. Delete it.",
    ),
    "re-tuning of the budget": (
        TINY + RETUNE.replace("optimizer.lr", "training.num_epochs"),
        ":20: `retune.space.training.num_epochs` must be the same in all arms",
    ),
    "re-tuning with wrong bounds": (
        TINY + RETUNE.replace("high: 0.1,", "high: 1e-4,"),
        ":20: `retune.space.optimizer.lr.high` must be greater than `low` = 0.001",
    ),
    "re-tuning under a condition on nothing": (
        TINY + RETUNE.replace("modulation.enabled: true}", "modulation.on: true}"),
        ":22: `retune.space.modulation.threshold.when` names `modulation.on`, which is "
        "not a config field. Known in `modulation`: enabled, ",
    ),
    "re-tuning what tells arms apart": (
        TINY
        + "retune:\n  num_trials: 3\n  space:\n    modulation.enabled: "
        + "{type: categorical, choices: [true, false]}\n",
        ":19: `retune.space` must leave the arms apart, but makes full and "
        "modulation=off one configuration.",
    ),
    "re-tuning to what does not go together": (
        TINY
        + "retune:\n  num_trials: 3\n  space:\n    model.family: "
        + "{type: categorical, choices: [residual, residual_x]}\n",
        ":20: `retune.space.model.family.choices` must be one of",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, kind):
    check_wrong(tmp_path, *WRONG[kind])


def test_too_many_trials_that_tune_are_refused(tmp_path):
    many = RETUNE.replace("num_trials: 3", "num_trials: 1000") + TINY
    levels = "".join(f"    k{n}: {{regularizer.coeff: {n}e-6}}\n" for n in range(9))
    with pytest.raises(AblationError, match="at most 4000 trials with 12 arms, but gi"):
        read(tmp_path, many.replace("  modulation:\n", f"{levels}  modulation:\n"))


def test_budget_and_seed_can_be_set_and_only_where_there_is_re_tuning(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(RETUNED)
    more = {"retune.num_trials": 7, "retune.seed": 9}
    retune = read_ablation(str(path), more).retune
    assert (retune.num_trials, retune.seed) == (7, 9)
    path.write_text(TINY)
    with pytest.raises(AblationError, match=r"--set: `retune\.seed` is not a key"):
        read_ablation(str(path), {"retune.seed": 9})
