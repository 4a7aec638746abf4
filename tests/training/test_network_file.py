"""Networks as files, read as somebody without orthotune reads them."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from orthotune.api import read_config
from orthotune.config.trial import TrialConfig
from orthotune.errors import TargetError
from orthotune.training.classifier import trained_classifier
from orthotune.training.loop import Trial
from orthotune.training.network_file import save_network
from tests import small


@pytest.fixture(scope="module")
def trial():
    trial = Trial(TrialConfig.from_dict({**small.FIELDS, "seed": 4}))
    trial.run_epoch()
    return trial


@pytest.fixture(scope="module")
def logits(trial):
    """Of the first images of the validation, by the trial's own network."""
    trial.model.eval()
    with torch.no_grad():
        return trial.model(
            trial.dataset.normalize(trial.dataset.val.images[:5])
        ).numpy()


STRANGER = """
import sys
import numpy as np
import torch

def use(file):
    return torch.export.load(file).module()

images = torch.from_numpy(np.load("images.npy"))
with torch.no_grad():
    one, many = use("net.pt2")(images[:1]), use("net.pt2")(images)
np.save("logits.npy", many.numpy())
assert np.allclose(one, many[:1], atol=1e-5)
assert not [name for name in sys.modules if name.startswith("orthotune")]
"""


def test_a_program_runs_in_a_process_that_knows_torch_alone(trial, logits, tmp_path):
    save_network(trial, tmp_path / "net.pt2")
    np.save(tmp_path / "images.npy", trial.dataset.val.images[:5].numpy())
    subprocess.run([sys.executable, "-c", STRANGER], check=True, cwd=tmp_path)
    assert np.allclose(np.load(tmp_path / "logits.npy"), logits, atol=1e-4)


def weights_of(path):
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True)
    from safetensors.torch import load_file

    return load_file(path)


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_weights_are_read_by_name_with_the_normalization(trial, name, tmp_path):
    file, _ = save_network(trial, tmp_path / name)
    weights = weights_of(file)
    assert torch.equal(weights["mean"], trial.dataset.mean)
    assert torch.equal(weights["std"], trial.dataset.std)
    own = trial.model.state_dict()
    assert set(weights) == {"mean", "std"} | {f"network.{key}" for key in own}
    assert all(torch.equal(weights[f"network.{key}"], own[key]) for key in own)


def test_beside_it_is_what_trains_it_again(trial, tmp_path):
    file, beside = save_network(trial, tmp_path / "net.pt")
    assert sorted(tmp_path.iterdir()) == [file, beside]
    assert beside.name == "net.pt.yaml"
    assert read_config(beside, {}) == trial.config


def test_a_loaded_network_is_saved_like_its_trial_which_stays_as_it_is(trial, tmp_path):
    before = {key: value.clone() for key, value in trial.model.state_dict().items()}
    classifier = trained_classifier(trial.state_dict())
    save_network(trial, tmp_path / "a.pt")
    save_network(classifier, tmp_path / "b.pt")
    assert (tmp_path / "a.pt.yaml").exists()
    ours, theirs = weights_of(tmp_path / "a.pt"), weights_of(tmp_path / "b.pt")
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    after = trial.model.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert after["layers.0.conv.weight"].is_contiguous(
        memory_format=torch.channels_last
    )


def test_a_name_that_says_no_form_is_refused(trial, tmp_path):
    with pytest.raises(
        TargetError, match=r"ends in \.pt2 or \.safetensors or \.pt, but"
    ):
        save_network(trial, tmp_path / "net.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_whole(trial, tmp_path, monkeypatch):
    file, _ = save_network(trial, tmp_path / "net.pt")
    before = file.read_bytes()

    def fsync(_descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(OSError, match="disk full"):
        save_network(trial, file)
    assert file.read_bytes() == before
