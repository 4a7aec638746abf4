"""The network that is registered."""

import torch

from orthotune.config.trial import TrialConfig
from orthotune.training.classifier import trained_classifier
from orthotune.training.loop import Trial
from tests import small


def test_a_network_that_was_compiled_needs_no_compiler_to_be_registered(monkeypatch):
    trial = Trial(TrialConfig.from_dict(small.FIELDS))
    trial.run_epoch()
    state = trial.state_dict()
    compiled = {**state, "config": {**state["config"], "training.compile": True}}
    monkeypatch.setenv("CXX", "no-such-compiler")
    classifier, images = trained_classifier(compiled)
    theirs, _ = trained_classifier(state)
    assert torch.equal(classifier(images), theirs(images))
