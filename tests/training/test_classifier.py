"""The network that is registered."""

import pytest
import torch

from orthotune.config.trial import TrialConfig
from orthotune.errors import DataMissingError
from orthotune.training.checkpoint import load_checkpoint, save_checkpoint
from orthotune.training.classifier import trained_classifier
from orthotune.training.loop import IMAGES, Trial
from tests import small


def test_a_network_that_was_compiled_needs_no_compiler_to_be_registered(monkeypatch):
    trial = Trial(TrialConfig.from_dict(small.FIELDS))
    trial.run_epoch()
    state = trial.state_dict()
    compiled = {**state, "config": {**state["config"], "training.compile": True}}
    monkeypatch.setenv("CXX", "no-such-compiler")
    images = trial.dataset.val.first(2).images
    ours, theirs = trained_classifier(compiled), trained_classifier(state)
    assert torch.equal(ours(images), theirs(images))


def test_a_network_needs_no_data_set_where_its_checkpoint_knows_the_images(
    monkeypatch, tmp_path
):
    trial = Trial(TrialConfig.from_dict(small.FIELDS))
    trial.run_epoch()
    save_checkpoint(tmp_path / "trial.pt", trial.state_dict())
    state = load_checkpoint(tmp_path / "trial.pt")
    images = trial.dataset.val.first(5).images
    with torch.no_grad():
        expected = trial.model.eval()(trial.dataset.normalize(images))
        old = {key: value for key, value in state.items() if key != IMAGES}
        assert torch.allclose(trained_classifier(old)(images), expected, atol=1e-5)

        def gone(*_):
            raise DataMissingError("gone")

        monkeypatch.setattr("orthotune.training.classifier.load_dataset", gone)
        network = trained_classifier(state)
        assert torch.allclose(network(images), expected, atol=1e-5)
    assert network.image_shape == (1, 8, 8)
    with pytest.raises(DataMissingError, match="gone"):
        trained_classifier(old)
