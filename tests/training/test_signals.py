import math

import pytest
import torch
from torch import nn

from orthotune.config.trial import TrialConfig
from orthotune.nn.diagnostics import effective_rank
from orthotune.training.loop import Trial
from orthotune.training.signals import last_features, signals

FIELDS = {
    "model.depth": 8,
    "data.num_train": 64,
    "data.batch_size": 32,
    "training.num_epochs": 2,
}


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_the_effective_rank_of_equal_directions_is_their_number(rank):
    corners, turned = torch.eye(rank), torch.linalg.qr(torch.randn(8, 8)).Q[:rank]
    features = torch.cat([corners, -corners]) @ turned
    assert effective_rank(features + 3.0).item() == pytest.approx(rank, rel=1e-4)


def test_the_effective_rank_of_two_directions_is_the_exponential_of_their_entropy():
    features = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    p = 0.9  # of the variance
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert effective_rank(features).item() == pytest.approx(math.exp(entropy))


def test_the_effective_rank_of_one_point_is_one_and_of_what_is_not_finite_unknown():
    assert effective_rank(torch.ones(4, 3)).item() == 1.0
    assert math.isnan(effective_rank(torch.tensor([[1.0, math.inf]])).item())


def test_the_last_features_are_what_enters_the_last_layer():
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())
    net = nn.Sequential(body, nn.Linear(16, 3))
    images = torch.randn(5, 1, 4, 4)
    torch.testing.assert_close(last_features(net, images), body(images))


def test_signals_leave_training_as_it_was():
    plain, looked_at = (Trial(TrialConfig.from_dict(FIELDS)) for _ in range(2))
    first = plain.run_epoch()
    looked_at.run_epoch()
    found = signals(looked_at)
    assert found["loss_over_chance"] == pytest.approx(first["val_loss"] / math.log(10))
    assert 1 <= found["feature_rank"] <= 128
    ours, theirs = plain.run_epoch(), looked_at.run_epoch()
    assert ours["val_loss"] == theirs["val_loss"]
    assert ours["train_loss"] == theirs["train_loss"]
