"""The trainable's logic, in-process: no Ray runtime is started here."""

import pytest

from orthotune.config.metrics import METRICS
from orthotune.config.trial import TrialConfig
from orthotune.errors import CheckpointError, ConfigError
from orthotune.training.checkpoint import save_checkpoint
from orthotune.training.loop import Trial
from orthotune.tune.trainable import CHECKPOINT, OrthoTrainable
from tests.small import TIMINGS

CONFIG = {
    "model.depth": 8,
    "model.widths": [4, 8, 8],
    "data.num_train": 128,
    "data.augment": True,
    "training.num_epochs": 3,
    "optimizer.lr": 0.05,
}
OTHER = {
    **CONFIG,
    "init.scheme": "he",
    "regularizer.kind": "l2",
    "modulation.enabled": False,
    "training.precision": "bf16",
    "optimizer.kind": "muon",
    "seed": 7,
}


def epochs(trainable):
    results = []
    while not results or not results[-1]["done"]:
        results.append(trainable.train())
    return compared(results)


def compared(results):
    return [{k: result[k] for k in COMPARED} for result in results]


def reference(config):
    """The same trial without Ray."""
    trial = Trial(TrialConfig.from_dict(config))
    results = []
    while not trial.finished:
        metrics = trial.run_epoch() | {"epoch": trial.epoch}
        results.append(metrics)
    return compared(results)


COMPARED = {*METRICS, "epoch"} - TIMINGS


@pytest.fixture
def trainable(tmp_path, monkeypatch):
    made = []

    def make(config):
        made.append(OrthoTrainable(config=config))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_a_trial_under_tune_equals_the_trial_without_it(trainable):
    assert epochs(trainable(CONFIG)) == reference(CONFIG)


def test_a_reused_actor_equals_a_fresh_one_bit_for_bit(trainable):
    one = trainable(CONFIG)
    epochs(one)
    assert one.reset(OTHER)
    assert epochs(one) == reference(OTHER)
    assert one.reset(CONFIG)
    assert epochs(one) == reference(CONFIG)


def test_an_actor_reused_after_divergence_is_clean(trainable):
    explosive = {**CONFIG, "optimizer.lr": 100, "regularizer.coeff": 1000}
    one = trainable(explosive)
    results = epochs(one)
    assert results[-1]["diverged"] == 1
    assert results[-1]["val_error"] == 1
    one.reset(CONFIG)
    assert epochs(one) == reference(CONFIG)


@pytest.mark.parametrize("config", [CONFIG, OTHER])
def test_restored_in_another_actor_it_goes_on_as_if_never_stopped(
    trainable, config, tmp_path
):
    first = trainable(config)
    first.train()
    folder = first.save(str(tmp_path))
    second = trainable(config)
    second.restore(folder)
    assert epochs(second) == reference(config)[1:]


def test_a_config_that_is_not_allowed_is_refused(trainable):
    with pytest.raises(ConfigError, match=r"`model\.depth` must be 6n"):
        trainable({"model.depth": 9})


def test_a_relative_root_is_the_drivers(trainable, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", str(tmp_path))
    one = trainable({**CONFIG, "data.root": "sets"})
    assert one._trial.config.data.root == str(tmp_path / "sets")


def handed_on(giver, taker, folder):
    """What Ray does when one trial copies another."""
    taker.restore(giver.save(str(folder)))
    return taker


BASE = {k: v for k, v in CONFIG.items() if k != "optimizer.lr"}
BASE |= {"training.num_epochs": 4}


def test_a_setting_is_in_force_from_the_epoch_at_which_another_was_copied(
    trainable, tmp_path
):
    first = trainable({**BASE, "optimizer.lr": 0.05, "regularizer.coeff": 0.01})
    results = [first.train(), first.train()]
    nested = {"optimizer": {"lr": 0.02}, "regularizer": {"coeff": 0.03}}
    second = handed_on(first, trainable({**BASE, **nested}), tmp_path / "1")
    results.append(second.train())
    last = {**BASE, "optimizer.lr": 0.08, "regularizer.coeff": 0.03}
    assert first.reset({**last, "modulation.strength": 0.5})  # the actor is used again
    results.append(handed_on(second, first, tmp_path / "2").train())
    assert [result["done"] for result in results] == [False, False, False, True]
    schedule = {
        "changes.epochs": [2, 3],
        "changes.lr": [0.02, 0.08],
        "changes.coeff": [0.03, 0.03],
        "changes.strength": [1.0, 0.5],
    }
    expected = reference(
        {**BASE, "optimizer.lr": 0.05, "regularizer.coeff": 0.01, **schedule}
    )
    assert compared(results) == expected


def test_a_copy_that_is_paused_and_goes_on_keeps_its_past(trainable, tmp_path):
    first = trainable({**BASE, "optimizer.lr": 0.05})
    results = [first.train()]
    config = {**BASE, "optimizer.lr": 0.02}
    second = handed_on(first, trainable(config), tmp_path / "1")
    results.append(second.train())
    again = handed_on(second, trainable(config), tmp_path / "2")
    results += [again.train(), again.train()]
    schedule = {"changes.epochs": [1], "changes.lr": [0.02]}
    assert compared(results) == reference({**BASE, "optimizer.lr": 0.05, **schedule})


def test_what_cannot_change_in_training_is_refused_in_a_copy(trainable, tmp_path):
    first = trainable(CONFIG)
    first.train()
    second = trainable({**CONFIG, "optimizer.lr": 0.02, "optimizer.momentum": 0.5})
    with pytest.raises(CheckpointError, match=r"`optimizer\.momentum` is 0\.9 there"):
        handed_on(first, second, tmp_path)


@pytest.mark.parametrize("config", [CONFIG, {**CONFIG, "optimizer.lr": 100.0}])
def test_a_trial_that_has_ended_says_so_again(trainable, tmp_path, config):
    config = {**config, "regularizer.coeff": 100.0 if config is not CONFIG else 0.001}
    first = trainable(config)
    ended = epochs(first)[-1]
    again = handed_on(first, trainable(config), tmp_path / "1")
    once_more = handed_on(again, trainable(config), tmp_path / "2")
    for one in (first, again, once_more):
        result = one.train()
        assert result["done"]
        assert compared([result]) == [ended]


def test_an_end_whose_checkpoint_kept_no_result_is_measured(trainable, tmp_path):
    first = trainable(CONFIG)
    ended = epochs(first)[-1]
    state = first._trial.state_dict()
    save_checkpoint(tmp_path / CHECKPOINT, state)  # as versions before did
    second = trainable(CONFIG)
    second.load_checkpoint(str(tmp_path))
    result = second.train()
    assert (result["done"], result["epoch"]) == (True, 3)
    known = COMPARED - {"train_loss", "backward_error_ratio", "lr"}
    assert {k: result[k] for k in known} == {k: ended[k] for k in known}
    assert "train_loss" not in result  # nobody knows it any more


def test_sections_and_dotted_names_mean_the_same(trainable):
    sections = {"model": {"depth": 8, "widths": [4, 8, 8]}, "seed": 7}
    sections |= {"data.num_train": 128, "data": {"augment": True}}
    ours = trainable({**sections, "training": {"num_epochs": 1}})
    flat = {"model.depth": 8, "model.widths": [4, 8, 8], "seed": 7}
    flat |= {"data.num_train": 128, "data.augment": True, "training.num_epochs": 1}
    assert epochs(ours) == reference(flat)
    with pytest.raises(ConfigError, match=r"`model\.depth` must be given once"):
        trainable({"model.depth": 8, "model": {"depth": 14}})
    with pytest.raises(ConfigError, match=r"`optimizer\.rate` is not a config field"):
        trainable({"optimizer": {"rate": 0.1}})
