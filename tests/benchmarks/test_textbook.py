"""The reference of the benchmarks computes what ours computes."""

import pytest
import torch

from orthotune.training.config import TrialConfig
from orthotune.training.data import Split
from orthotune.training.loop import Trial
from tests.benchmarks.textbook import TextbookStep


@pytest.mark.parametrize("method", [True, False])
def test_the_textbook_step_and_ours_give_the_same_weights(method, double):
    fields = {
        "model.depth": 20,
        "data.name": "synthetic",
        "optimizer.schedule.kind": "constant",
        "optimizer.schedule.warmup": 0,
    }
    if not method:
        off = {"regularizer.kind": "l2", "regularizer.coeff": 1e-4}
        fields |= {**off, "modulation.enabled": False}
    trial = Trial(TrialConfig.from_dict(fields))
    textbook = TextbookStep(20, 3, method=method)
    trial.model.load_state_dict(textbook.net.state_dict())
    trial.model.double().train()
    images = torch.randn(16, 3, 8, 8)
    targets = torch.randint(0, 10, (16,))
    textbook(images, targets)
    trial._update(Split(images=images, targets=targets), 0.5, last=False)
    decayed = {"classifier.bias"} | {
        name for name, parameter in trial.model.named_parameters() if "bn" in name
    }
    theirs = dict(textbook.net.named_parameters())
    for name, ours in trial.model.named_parameters():
        if not method and name in decayed:  # the textbook decays these too
            continue
        torch.testing.assert_close(ours, theirs[name], rtol=1e-6, atol=1e-9)
