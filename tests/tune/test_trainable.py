"""The trainable's logic, in-process: no Ray runtime is started here."""

import pytest

from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError
from orthotune.training.loop import Trial
from orthotune.tune.trainable import OrthoTrainable
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
    "seed": 7,
}


def epochs(trainable):
    results = []
    while not results or not results[-1]["done"]:
        results.append(trainable.train())
    return [{k: result[k] for k in COMPARED if k not in TIMINGS} for result in results]


def reference(config):
    """The same trial without Ray."""
    trial = Trial(TrialConfig.from_dict(config))
    results = []
    while not trial.finished:
        metrics = trial.run_epoch() | {"epoch": trial.epoch}
        results.append({k: metrics[k] for k in COMPARED if k not in TIMINGS})
    return results


COMPARED = (
    "epoch",
    "train_loss",
    "val_loss",
    "val_error",
    "orthonormality_penalty",
    "gram_deviation_max",
    "backward_error_ratio",
    "lr",
    "diverged",
)


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
