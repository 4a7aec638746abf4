"""What the course of training says, against what an update is given."""

import pytest
import torch

from orthotune.config.changes import CHANGEABLE
from orthotune.config.trial import TrialConfig
from orthotune.nn.networks import PlainCNN
from orthotune.training.curves import curves
from orthotune.training.update import Update

PLAIN = {"model.depth": 8, "training.num_epochs": 6, "data.batch_size": 32}
CHANGED_FIELDS = {
    "optimizer.schedule.kind": "multistep",
    "regularizer.schedule.kind": "linear",
    "modulation.schedule.kind": "window",
    "modulation.schedule.start": 0.2,
    "modulation.schedule.stop": 0.7,
    "changes.epochs": [2, 4],
    "changes.lr": [0.02, 0.03],
    "changes.strength": [0.5, 0.75],
}


@pytest.mark.parametrize("more", [{}, CHANGED_FIELDS])
def test_the_curves_are_what_the_updates_are_given(more):
    config = TrialConfig.from_dict({**PLAIN, **more})
    model = PlainCNN(depth=8, in_channels=1)
    update = Update(config, model, torch.zeros(2, 1, 8, 8))
    updates = 4
    given = torch.cat([update.settings(epoch, updates) for epoch in range(6)])
    drawn = curves(config, points=6 * updates)
    assert list(drawn) == list(CHANGEABLE)
    ours = torch.tensor(list(drawn.values()), dtype=torch.float64).T
    # Progress is computed in another order: equal up to its rounding.
    assert torch.allclose(ours, given, rtol=1e-14, atol=1e-17)
