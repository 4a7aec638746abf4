"""The gates of the benchmark: ours computes what the textbook computes."""

import pytest
import torch
import torch.nn.functional as F

from orthotune.config.trial import TrialConfig
from orthotune.data.dataset import Dataset, Split
from orthotune.training.loop import Trial
from tests.benchmarks.textbook import TextbookStep, loader

pytestmark = pytest.mark.usefixtures("one_thread")

CONSTANT = {"optimizer.schedule.kind": "constant", "optimizer.schedule.warmup": 0}
L2 = {"regularizer.kind": "l2", "regularizer.coeff": 1e-4}
NEITHER = {"regularizer.kind": "none", "modulation.enabled": False}
ARMS = {  # fields of ours, options of the textbook's
    "both": ({}, {}),
    "penalty": ({"modulation.enabled": False}, {"modulated": False}),
    "modulation": ({"regularizer.kind": "none"}, {"coeff": 0.0}),
    "neither": (NEITHER, {"coeff": 0.0, "modulated": False}),
    "l2": (
        L2 | {"modulation.enabled": False},
        {"coeff": 0.0, "modulated": False, "weight_decay": 1e-4},
    ),
}
CASES = [("plain", arm) for arm in ARMS] + [
    ("residual", arm) for arm in ("penalty", "neither", "l2")
]


def pair(family, depth, arm, **fields):
    """Ours and the textbook's, from identical weights."""
    ours, theirs = ARMS[arm]
    base = {"model.family": family, "model.depth": depth, "data.name": "synthetic"}
    trial = Trial(TrialConfig.from_dict({**base, **CONSTANT, **ours, **fields}))
    textbook = TextbookStep(depth, 3, family=family, **theirs)
    trial.model.load_state_dict(textbook.net.state_dict())
    trial.model.train()
    return trial, textbook


def gradients(net, optimizer):
    """What SGD was given in its first step, which is its momentum after it."""
    named = net.named_parameters()
    return {name: optimizer.state[p]["momentum_buffer"] for name, p in named}


def relative_error(trial, textbook, arm, batch):
    trial._update(batch, trial._update.settings(0, 1)[0])
    textbook(batch.images, batch.targets)
    ours = gradients(trial.model, trial._update._optimizer)
    theirs = gradients(textbook.net, textbook.optimizer)
    compared = [
        name
        for name in ours  # the textbook decays batch norm and biases too
        if arm != "l2" or ("conv" in name or name == "classifier.weight")
    ]
    apart = sum((ours[name] - theirs[name]).square().sum() for name in compared)
    whole = sum(theirs[name].square().sum() for name in compared)
    return (apart / whole).sqrt().item()


def batch_of(size):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, 8, 8, generator=generator)
    return Split(images=images, targets=torch.arange(size) % 10)


@pytest.mark.parametrize(("family", "arm"), CASES)
@pytest.mark.parametrize("depth", [20, 44])
def test_gradients_are_the_textbooks_in_float64(family, arm, depth, double):
    trial, textbook = pair(family, depth, arm)
    trial.model.double()
    assert relative_error(trial, textbook, arm, batch_of(16)) <= 1e-9


@pytest.mark.parametrize(("family", "arm"), CASES)
@pytest.mark.parametrize("depth", [8, 20])
def test_gradients_are_the_textbooks_in_float32(family, arm, depth):
    trial, textbook = pair(family, depth, arm)
    assert relative_error(trial, textbook, arm, batch_of(16)) <= 1e-4


@pytest.mark.parametrize("arm", ARMS)
def test_another_threshold_would_be_noticed(arm, double):
    trial, textbook = pair("plain", 20, arm)
    trial.model.double()
    textbook.threshold, textbook.coeff = 1.0, textbook.coeff * 2
    error = relative_error(trial, textbook, arm, batch_of(16))
    assert (error > 1e-6) == (arm in ("both", "penalty", "modulation"))


@pytest.fixture
def pixels():
    """A data set of bytes, as files hold them."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (192, 3, 8, 8), generator=generator).byte()
    targets = torch.arange(192) % 10
    train = Split(images=images[:128], targets=targets[:128])
    val = Split(images=images[128:], targets=targets[128:])
    values = train.images.float()
    return Dataset(
        train=train,
        val=val,
        test=val,
        num_classes=10,
        mean=values.mean((0, 2, 3))[:, None, None],
        std=values.std((0, 2, 3))[:, None, None],
        flips=False,
    )


@torch.no_grad()
def validation(net, batches):
    net.eval()
    ((images, targets),) = batches
    logits = net(images)
    net.train()
    wrong = (logits.argmax(1) != targets).float().mean()
    return F.cross_entropy(logits, targets).item(), wrong.item()


@pytest.mark.parametrize("arm", ["both", "neither"])
def test_two_epochs_of_a_shallow_net_have_the_textbooks_metrics(arm, pixels):
    trial, textbook = pair("plain", 8, arm, **{"training.batch_norm": "running"})
    twin, _ = pair("plain", 8, arm)  # draws the same orders
    trial._dataset = pixels
    scale = pixels.mean.flatten(), pixels.std.flatten()
    train, val = pixels.train, pixels.val
    for _ in range(2):
        order = torch.randperm(128, generator=twin._streams["order"]).tolist()
        shuffled = loader(train.images, train.targets, *scale, batch=64, sampler=order)
        losses = [textbook(images, targets) for images, targets in shuffled]
        whole = loader(val.images, val.targets, *scale, batch=64, sampler=range(64))
        val_loss, val_error = validation(textbook.net, whole)
        metrics = trial.run_epoch()
        assert metrics["train_loss"] == pytest.approx(sum(losses) / 2, rel=1e-4)
        assert metrics["val_loss"] == pytest.approx(val_loss, rel=1e-4)
        assert metrics["val_error"] == val_error
