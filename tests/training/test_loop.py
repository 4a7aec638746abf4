import copy
import math
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from orthotune.config.metrics import METRICS
from orthotune.config.trial import TrialConfig
from orthotune.data import splits
from orthotune.data.dataset import Dataset
from orthotune.data.datasets import load_dataset
from orthotune.data.splits import Split, StreamedSplit
from orthotune.errors import CheckpointError, DataError
from orthotune.nn.networks import PlainCNN
from orthotune.training import loop
from orthotune.training.checkpoint import load_checkpoint, save_checkpoint
from orthotune.training.loop import Trial
from tests.data.small_images import write_classes
from tests.small import TIMINGS

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "model.depth": 8,
    "model.widths": [4, 8, 16],
    "data.num_train": 128,
    "data.batch_size": 32,
    "training.num_epochs": 3,
}
VARIANTS = {
    "paper": {},
    "augmented": {"data.augment": True, "data.name": "synthetic"},
    "residual": {"model.family": "residual", "modulation.enabled": False},
    "l2": {"regularizer.kind": "l2", "regularizer.coeff": 0.01},
    "none": {"regularizer.kind": "none"},
    "he": {"init.scheme": "he"},
    "bf16": {"training.precision": "bf16", "data.augment": True},
    "fp16": {"training.precision": "fp16", "training.clip_norm": 0.5},
    "adamw": {"optimizer.kind": "adamw"},
    "muon": {"optimizer.kind": "muon", "optimizer.muon.others_lr": 0.5},
    "lars": {"optimizer.kind": "lars", "optimizer.lr": 3.0},
    "running": {"training.batch_norm": "running"},
    "nesterov": {"optimizer.nesterov": True, "optimizer.schedule.kind": "multistep"},
    "unmodulated": {"modulation.enabled": False, "optimizer.momentum": 0.0},
    "window": {
        "modulation.schedule.kind": "window",
        "modulation.schedule.stop": 0.5,
        "regularizer.schedule.kind": "cosine",
    },
}
EPS = torch.finfo(torch.float32).eps


def make(*overrides):
    values = dict(SMALL)
    for override in overrides:
        values |= override
    return Trial(TrialConfig.from_dict(values))


def finish(trial):
    """The metrics of the epochs left, without those that measure time."""
    epochs = []
    while not trial.finished:
        metrics = trial.run_epoch()
        epochs.append({k: v for k, v in metrics.items() if k not in TIMINGS})
    return epochs


def assert_same(ours, theirs, path="state"):
    """Equal to the bit, through dicts and lists of tensors."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), path
        for key in ours:
            assert_same(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), path
    else:
        assert ours == theirs, path


def same_weights(ours, theirs):
    theirs = theirs.model.state_dict()
    return all(torch.equal(v, theirs[k]) for k, v in ours.model.state_dict().items())


def record_batches(trial):
    """A list that fills with the images of every training forward."""
    seen = []

    def hook(_module, inputs):
        if torch.is_grad_enabled():
            seen.append(inputs[0].clone())

    trial.model.register_forward_pre_hook(hook)
    return seen


# What is reported


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_epoch_reports_exactly_the_metrics_all_finite_floats(variant):
    trial = make(VARIANTS[variant])
    for epoch in range(1, 4):
        assert not trial.finished
        metrics = trial.run_epoch()
        assert trial.epoch == epoch
        assert tuple(metrics) == METRICS
        for name, value in metrics.items():
            assert type(value) is float, name
            assert math.isfinite(value), name
        assert metrics["diverged"] == 0
        assert 0 <= metrics["val_error"] <= 1
        assert metrics["epoch_time_s"] > 0
        assert metrics["images_per_s"] > 0
    assert trial.finished


def test_a_finished_trial_must_not_run_on():
    trial = make({"training.num_epochs": 1})
    trial.run_epoch()
    with pytest.raises(RuntimeError, match=r"past its end, but epoch 1 of 1 is done\."):
        trial.run_epoch()
    assert trial.epoch == 1


@pytest.mark.parametrize("batch_norm", ["recalibrated", "running"])
def test_validation_is_that_of_the_model_as_it_stands(batch_norm):
    trial = make({"training.batch_norm": batch_norm, "optimizer.lr": 0.1})
    metrics = [trial.run_epoch() for _ in range(3)][-1]
    val = load_dataset(trial.config.data)
    images, targets = val.normalize(val.val.images), val.val.targets
    with torch.no_grad():
        logits = trial.model.eval()(images).double()
    expected = F.cross_entropy(logits, targets).item()
    assert metrics["val_loss"] == pytest.approx(expected, rel=1e-5)
    wrong = sum(
        int(row.argmax()) != int(t) for row, t in zip(logits, targets, strict=1)
    )
    assert metrics["val_error"] == pytest.approx(wrong / 300, abs=1e-12)


def test_recalibrated_statistics_are_those_of_the_training_images():
    trial = make({"training.num_epochs": 1})
    trial.run_epoch()
    dataset = load_dataset(trial.config.data)
    inputs = dataset.normalize(dataset.train.images).double()
    close = {"rtol": 1000 * EPS, "atol": 1000 * EPS}  # rounding of up to seven layers
    for layer in trial.model.layers:
        weight = layer.conv.weight.detach().double()
        outputs = F.conv2d(inputs, weight, stride=layer.conv.stride, padding=1)
        by_channel = outputs.transpose(0, 1).flatten(1)
        mean, var = by_channel.mean(1), by_channel.var(1, correction=0)
        torch.testing.assert_close(layer.bn.running_mean.double(), mean, **close)
        torch.testing.assert_close(layer.bn.running_var.double(), var, **close)
        scaled = F.batch_norm(outputs, mean, var, eps=layer.bn.eps).transpose(1, 3)
        scaled = scaled * layer.bn.weight.detach() + layer.bn.bias.detach()
        inputs = scaled.transpose(1, 3).relu()


def test_running_statistics_are_torchs_averages():
    trial = make({"training.batch_norm": "running", "training.num_epochs": 1})
    trial.run_epoch()
    for layer in trial.model.layers:
        assert layer.bn.num_batches_tracked.item() == trial.updates_per_epoch == 4
        assert layer.bn.momentum == 0.1


def penalties(weights):
    """The penalty of each weight by two loops over its filters."""
    result = []
    for weight in weights:
        filters = weight.flatten(1).double()
        group = torch.arange(len(filters)) // filters.shape[1]
        total = filters.new_zeros(())
        for i, row in enumerate(filters):
            for j, other in enumerate(filters):
                if group[i] == group[j]:
                    total = total + (row @ other - float(i == j)) ** 2
        result.append(total)
    return result


def penalized(model):
    return [p for name, p in model.named_parameters() if p.ndim > 1]


def test_orthonormality_metrics_are_those_of_the_weights():
    trial = make({"init.scheme": "he", "training.num_epochs": 1})
    metrics = trial.run_epoch()
    with torch.no_grad():
        expected = torch.stack(penalties(penalized(trial.model)))
    assert metrics["orthonormality_penalty"] == pytest.approx(expected.sum().item())
    assert metrics["gram_deviation_max"] == pytest.approx(expected.max().sqrt().item())


def test_the_training_loss_is_the_mean_over_the_updates():
    trial = make({"optimizer.lr": 1e-30, "training.num_epochs": 1})
    dataset = load_dataset(trial.config.data)
    images = dataset.normalize(dataset.train.images)
    target_of = {
        image.numpy().tobytes(): target
        for image, target in zip(images, dataset.train.targets, strict=True)
    }
    losses = []

    def hook(_module, inputs, logits):
        if torch.is_grad_enabled():
            targets = [target_of[image.numpy().tobytes()] for image in inputs[0]]
            losses.append(F.cross_entropy(logits, torch.stack(targets)).item())

    trial.model.register_forward_hook(hook)
    metrics = trial.run_epoch()
    assert len(losses) == 4
    assert metrics["train_loss"] == pytest.approx(sum(losses) / 4, rel=1e-6)


def test_the_test_error_is_reported_in_the_last_epoch_only():
    trial = make({"training.evaluate_test": True})
    epochs = [trial.run_epoch() for _ in range(3)]
    assert [("test_error" in metrics) for metrics in epochs] == [False, False, True]
    assert epochs[-1].keys() == {*METRICS, "test_error"}
    dataset = load_dataset(trial.config.data)
    with torch.no_grad():
        logits = trial.model.eval()(dataset.normalize(dataset.test.images))
    wrong = (logits.argmax(1) != dataset.test.targets).double().mean().item()
    assert epochs[-1]["test_error"] == pytest.approx(wrong, abs=1e-12)


def test_evaluating_on_the_test_split_changes_no_other_metric():
    ours, theirs = make({"training.evaluate_test": True}), make()
    with_test, without = finish(ours), finish(theirs)
    del with_test[-1]["test_error"]
    assert with_test == without
    for one, other in zip(
        ours.model.parameters(), theirs.model.parameters(), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # 4 updates an epoch, 12 in all; the last of an epoch are at 3.5, 7.5, 11.5 / 12
        ({"kind": "constant"}, [0.2, 0.2, 0.2]),
        ({"kind": "linear"}, [0.2 * 8.5 / 12, 0.2 * 4.5 / 12, 0.2 * 0.5 / 12]),
        ({"kind": "constant", "warmup": 0.5}, [0.2 * 3.5 / 6, 0.2, 0.2]),
        ({"kind": "multistep", "milestones": [0.3, 0.7]}, [0.2, 0.02, 0.002]),
        ({"kind": "multistep", "milestones": [0.29, 0.97]}, [0.02, 0.02, 0.02]),
        ({"kind": "window", "start": 0.5, "stop": 0.9}, [0.0, 0.2, 0.0]),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule, expected):
    values = {f"optimizer.schedule.{name}": value for name, value in schedule.items()}
    values.setdefault("optimizer.schedule.warmup", 0)
    trial = make({"optimizer.lr": 0.2, **values})
    rates = [metrics["lr"] for metrics in finish(trial)]
    assert rates == pytest.approx(expected, abs=1e-15)


# The updates, judged by a textbook


class InBackwardModulation:
    """The paper's procedure: each error is scaled on its way down, then compared."""

    def __init__(self, layers, threshold, strength):
        self.threshold, self.strength, self.above = threshold, strength, None
        self.unscaled, self.passed = [], 1.0
        for layer in layers:
            layer.conv.register_forward_hook(self.on_forward)

    def on_forward(self, _module, _inputs, output):
        output.register_hook(self.on_backward)

    def on_backward(self, error):
        moment = error.square().mean().item()
        self.unscaled.append(moment / self.passed**2)
        factor = 1.0
        if self.above and abs(math.log(self.above / moment)) > self.threshold:
            factor = (self.above / moment) ** (self.strength / 2)
        self.above, self.passed = moment * factor**2, self.passed * factor
        return error * factor


def clip(model, largest):
    """The whole gradient shortened to a norm; torch adds 1e-6 to its own."""
    norm = sum((p.grad**2).sum().item() for p in model.parameters()) ** 0.5
    for parameter in model.parameters():
        if largest is not None and norm > largest:
            parameter.grad *= largest / (norm + 1e-6)


def l2(weights):
    return [weight.square().sum() for weight in weights]


@pytest.mark.parametrize(
    ("values", "penalty", "coeff", "strength"),
    [
        ({"regularizer.coeff": 0.05}, penalties, 0.05, 0.7),
        ({"regularizer.kind": "l2", "regularizer.coeff": 0.1}, l2, 0.1, 0.7),
        ({"modulation.enabled": False, "regularizer.kind": "none"}, l2, 0.0, 0.0),
        (
            {"optimizer.nesterov": True, "optimizer.momentum": 0.5},
            penalties,
            0.001,
            0.7,
        ),
        # In float64 nothing is rounded to float16: what is left is the scaled loss.
        (
            {"training.precision": "fp16", "regularizer.coeff": 0.05},
            penalties,
            0.05,
            0.7,
        ),
        (
            {"training.label_smoothing": 0.2},
            penalties,
            0.001,
            0.7,
        ),
        (
            {"training.clip_norm": 0.3, "regularizer.coeff": 0.05},
            penalties,
            0.05,
            0.7,
        ),
        (
            {"training.clip_norm": 1e5, "training.precision": "fp16"},
            penalties,
            0.001,
            0.7,
        ),
    ],
)
def test_updates_are_those_of_a_textbook(values, penalty, coeff, strength, monkeypatch):
    # In float64: rounding that tells on which side of a ReLU's kink an input lies
    # differs from processor to processor, and changes float32 errors by a percent.
    build, normalize = loop.build_network, Dataset.normalize
    monkeypatch.setattr(loop, "build_network", lambda *args: build(*args).double())
    monkeypatch.setattr(
        Dataset, "normalize", lambda self, images: normalize(self, images).double()
    )
    trial = make(
        {
            "data.num_train": 32,  # one update an epoch, all images in it
            "training.num_epochs": 2,
            "init.scheme": "he",
            "modulation.strength": 0.7,
            "optimizer.lr": 0.1,
            "optimizer.schedule.kind": "linear",
            "optimizer.schedule.warmup": 0,
            "regularizer.schedule.kind": "linear",
        },
        values,
    )
    dataset = load_dataset(trial.config.data)
    images = dataset.normalize(dataset.train.images)
    reference = PlainCNN(depth=8, widths=(4, 8, 16), in_channels=1)
    reference.double().train()
    reference.load_state_dict(trial.model.state_dict())
    modulation = InBackwardModulation(reference.layers, 0.1, strength)
    momentum, nesterov = (
        values.get("optimizer.momentum", 0.9),
        "optimizer.nesterov" in values,
    )
    sgd = torch.optim.SGD(reference.parameters(), 0.1, momentum, nesterov=nesterov)
    close = {"rtol": 1e-12, "atol": 1e-12}
    for factor in (0.75, 0.25):  # the middles of two updates: t = 1/4, 3/4
        metrics = trial.run_epoch()
        modulation.unscaled, modulation.above, modulation.passed = [], None, 1.0
        sgd.zero_grad()
        logs = reference(images).log_softmax(1)
        loss = -logs[range(len(logs)), dataset.train.targets].mean()
        smoothing = values.get("training.label_smoothing", 0)
        loss = (1 - smoothing) * loss - smoothing * logs.mean()
        loss.backward()
        weights = penalized(reference)
        (coeff * factor / 2 * sum(penalty(weights))).backward()
        clip(reference, values.get("training.clip_norm"))
        sgd.param_groups[0]["lr"] = 0.1 * factor
        sgd.step()
        assert metrics["train_loss"] == pytest.approx(loss.item(), rel=1e-5)
        ratio = modulation.unscaled[-1] / modulation.unscaled[0]
        assert metrics["backward_error_ratio"] == pytest.approx(ratio, rel=1e-5)
        theirs = dict(reference.named_parameters())
        for name, ours in trial.model.named_parameters():
            torch.testing.assert_close(ours.double(), theirs[name], **close)


def test_labels_are_smooth_in_the_training_loss_alone():
    trial = make({"training.label_smoothing": 0.5, "training.num_epochs": 1})
    metrics = trial.run_epoch()
    val = load_dataset(trial.config.data)
    images, targets = val.normalize(val.val.images), val.val.targets
    with torch.no_grad():
        logits = trial.model.eval()(images).double()
    expected = F.cross_entropy(logits, targets).item()
    assert metrics["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_training_lowers_the_loss_and_the_penalty():
    trial = make({"init.scheme": "he", "regularizer.coeff": 0.1, "optimizer.lr": 0.05})
    before = sum(penalties(penalized(trial.model))).item()
    epochs = finish(trial)
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"] - 0.05
    assert epochs[-1]["orthonormality_penalty"] < 0.8 * before


def test_weights_are_channels_last_and_stay_so():
    trial = make({"training.num_epochs": 1})

    def all_channels_last():
        weights = [p for p in trial.model.parameters() if p.ndim == 4]
        return len(weights) == 7 and all(
            weight.is_contiguous(memory_format=torch.channels_last)
            for weight in weights
        )

    assert all_channels_last()
    images = record_batches(trial)
    trial.run_epoch()
    assert all_channels_last()
    assert images[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("scheme", ["orthonormal", "he"])
def test_initial_weights_are_of_the_scheme(scheme):
    trial = make({"init.scheme": scheme})
    largest = max(penalties(penalized(trial.model))).item()
    assert largest < 1e-9 if scheme == "orthonormal" else largest > 0.1
    for name, parameter in trial.model.named_parameters():
        if parameter.ndim == 1:
            assert (parameter == float(name.endswith("bn.weight"))).all(), name


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_half_precision_computes_in_it_and_keeps_float32_weights(precision, dtype):
    trial = make({"training.precision": precision, "training.num_epochs": 1})
    seen = []
    trial.model.layers[3].conv.register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.dtype)
    )
    trial.run_epoch()
    assert set(seen) == {dtype}
    assert {p.dtype for p in trial.model.parameters()} == {torch.float32}


def test_a_model_fits_its_data_set():
    trial = make({"data.name": "synthetic"})
    assert trial.model.layers[0].conv.in_channels == 3
    assert trial.model.classifier.out_features == 10


# Micro-batches


def test_a_trial_in_parts_sees_the_same_images_in_the_same_order():
    whole, parts = make(), make({"data.num_micro_batches": 4})
    ours, theirs = record_batches(parts), record_batches(whole)
    assert parts.run_epoch()["lr"] == whole.run_epoch()["lr"]
    assert [len(batch) for batch in ours] == [8] * 16
    assert torch.equal(torch.cat(ours), torch.cat(theirs))
    # Batch norm takes its statistics part by part: it is another training.
    assert not same_weights(parts, whole)


def test_a_checkpoint_is_continued_in_other_parts_but_at_no_other_rate():
    trial = make()
    trial.run_epoch()
    state = copy.deepcopy(trial.state_dict())
    parts = make({"data.num_micro_batches": 2})
    parts.load_state_dict(state)
    assert parts.epoch == 1
    assert same_weights(parts, trial)
    batches = record_batches(parts)
    assert len(finish(parts)) == 2
    assert {len(batch) for batch in batches} == {16}
    back = make()
    back.load_state_dict(parts.state_dict())  # and the other way round
    assert back.finished
    other = make({"data.num_micro_batches": 2, "optimizer.lr": 0.02})
    with pytest.raises(CheckpointError, match=r"`optimizer.lr` is 0.01 there and 0.02"):
        other.load_state_dict(state)


# Batches


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own():
    trial = make({"training.num_epochs": 2})
    batches = record_batches(trial)
    finish(trial)
    assert [batch.shape for batch in batches] == [(32, 1, 8, 8)] * 8
    dataset = load_dataset(trial.config.data)
    images = [row.numpy().tobytes() for row in dataset.normalize(dataset.train.images)]
    epochs = [
        [row.contiguous().numpy().tobytes() for batch in part for row in batch]
        for part in (batches[:4], batches[4:])
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(images)
    assert epochs[0] != epochs[1]
    assert epochs[0] != images


def test_an_incomplete_last_batch_is_left_out():
    trial = make({"data.num_train": 100, "training.num_epochs": 1})
    batches = record_batches(trial)
    trial.run_epoch()
    assert trial.updates_per_epoch == len(batches) == 3
    assert {len(batch) for batch in batches} == {32}


def test_targets_stay_with_their_images():
    trial = make({"training.num_epochs": 1, "data.num_train": 32})
    dataset = load_dataset(trial.config.data)
    images = dataset.normalize(dataset.train.images)
    with torch.no_grad():
        expected = F.cross_entropy(trial.model.train()(images), dataset.train.targets)
    assert trial.run_epoch()["train_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_augmentation_changes_the_images_and_not_their_order():
    two_epochs = {"training.num_epochs": 2}
    plain, augmented = make(two_epochs), make(two_epochs, {"data.augment": True})
    ours, theirs = record_batches(plain), record_batches(augmented)
    finish(plain)
    finish(augmented)
    moved = 0
    for one, other in zip(torch.cat(ours), torch.cat(theirs), strict=True):
        padded = F.pad(one, (1, 1, 1, 1))
        crops = [padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
        assert any(torch.equal(crop, other) for crop in crops)
        moved += not torch.equal(one, other)
    assert moved > 128  # of 256; a ninth stay where they are


@pytest.mark.parametrize(
    "ingredient",
    [
        {"init.scheme": "he"},
        {"regularizer.kind": "none"},
        {"regularizer.coeff": 0.1},
        {"modulation.enabled": False},
        {"modulation.strength": 0.5},
        {"optimizer.lr": 0.001, "optimizer.schedule.kind": "constant"},
        {"optimizer.momentum": 0},
        {"model.depth": 14},
        {"model.widths": [8, 8, 8]},
        {"model.family": "residual", "modulation.enabled": False},
        {"training.precision": "bf16"},
        {"training.batch_norm": "running"},
    ],
)
def test_arms_that_differ_in_one_ingredient_see_the_same_batches(ingredient):
    common = {"data.augment": True, "training.num_epochs": 2}
    base, arm = make(common), make(common, ingredient)
    ours, theirs = record_batches(base), record_batches(arm)
    finish(base)
    finish(arm)
    assert len(ours) == 8
    assert torch.equal(torch.stack(ours), torch.stack(theirs))


def test_another_seed_gives_other_weights_batches_and_metrics():
    first, second = make(), make({"seed": 1})
    ours, theirs = record_batches(first), record_batches(second)
    assert not same_weights(first, second)
    assert finish(first) != finish(second)
    assert not torch.equal(torch.stack(ours), torch.stack(theirs))


# Determinism


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_config_gives_one_result_whatever_the_threads_and_the_global_seed(variant):
    torch.set_num_threads(2)
    torch.manual_seed(1)
    first = make(VARIANTS[variant])
    ours = finish(first)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    torch.manual_seed(2)
    second = make(VARIANTS[variant])
    assert finish(second) == ours
    assert torch.get_num_threads() == 1
    assert_same(first.state_dict(), second.state_dict())


COUNTED = """\
import torch
import torch.nn.functional as F
from orthotune.config.trial import TrialConfig
from orthotune.training.loop import Trial

whole, seen = F.cross_entropy, set()


def cross_entropy(*given, **how):
    seen.add(torch.get_num_threads())
    return whole(*given, **how)


F.cross_entropy = cross_entropy
before = torch.get_num_threads()
Trial(TrialConfig.from_dict({fields!r})).run_epoch()
print(before, *seen)
"""


def test_a_trial_computes_in_one_thread_whatever_the_environment_says():
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    fields = {"model.depth": 8, "data.name": "synthetic", "data.num_train": 64}
    done = subprocess.run(
        [sys.executable, "-c", COUNTED.format(fields=fields)],
        env={**os.environ, **dict.fromkeys(names, "2")},
        capture_output=True,
        text=True,
        check=True,
    )
    before, *seen = map(int, done.stdout.split())
    assert (before, seen) == (min(2, os.cpu_count()), [1])


def test_a_trial_says_what_computes_it(monkeypatch):
    trial = make()
    assert trial.computed_by == f"CPU {torch.backends.cpu.get_cpu_capability()}"
    monkeypatch.setattr(trial, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"one {device}")
    assert trial.computed_by == "one cuda"


def test_float32_is_not_tf32_while_a_trial_computes(monkeypatch):
    trial, seen = make(), []
    forward = trial.model.forward

    def look(images):
        seen.append(torch.backends.cudnn.allow_tf32)
        return forward(images)

    monkeypatch.setattr(trial.model, "forward", look)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # as it is by default
    trial.run_epoch()
    assert set(seen) == {False}
    assert torch.backends.cudnn.allow_tf32


def test_the_number_of_threads_is_put_back_after_a_failure(monkeypatch):
    trial = make()

    def fail(_images):
        raise KeyboardInterrupt

    torch.set_num_threads(2)
    with pytest.raises(DataError, match=r"`data\.num_train` must be at most 1197"):
        make({"data.num_train": 100_000})
    assert torch.get_num_threads() == 2
    monkeypatch.setattr(trial.model, "forward", fail)
    with pytest.raises(KeyboardInterrupt):
        trial.run_epoch()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("off", "absent"),
    [
        ({"modulation.strength": 0}, {"modulation.enabled": False}),
        ({"modulation.threshold": 1000}, {"modulation.enabled": False}),
        ({"regularizer.coeff": 0}, {"regularizer.kind": "none"}),
        (
            {"regularizer.kind": "l2", "regularizer.coeff": 0},
            {"regularizer.kind": "none"},
        ),
        (
            {"modulation.schedule.kind": "constant", "modulation.schedule.final": 0.5},
            {},
        ),
        ({"data.root": "/elsewhere", "data.download": True}, {}),
    ],
)
def test_an_ingredient_of_no_strength_is_absent_to_the_bit(off, absent):
    ours, theirs = make(off), make(absent)
    assert finish(ours) == finish(theirs)
    assert same_weights(ours, theirs)


def test_modulation_and_regularizer_are_no_empty_ingredients():
    results = [
        finish(make(values))
        for values in (
            {},
            {"modulation.enabled": False},
            {"regularizer.kind": "none"},
            {"regularizer.kind": "l2", "regularizer.coeff": 0.1},
        )
    ]
    assert len({metrics[-1]["train_loss"] for metrics in results}) == 4


def test_an_ingredient_outside_its_window_is_off():
    window = {"kind": "window", "start": 0.0, "stop": 1 / 3}
    values = {f"modulation.schedule.{name}": value for name, value in window.items()}
    ours = make(values)
    whole = make()
    without = make({"modulation.enabled": False})
    first = ours.run_epoch()
    assert first["train_loss"] == whole.run_epoch()["train_loss"]
    state = copy.deepcopy(ours.state_dict())
    without.load_state_dict({**state, "config": without.config.to_dict()})
    assert finish(ours) == finish(without)


# Stopping and continuing


@pytest.mark.parametrize("variant", VARIANTS)
def test_saving_loading_and_continuing_equals_never_stopping(variant, tmp_path):
    never_stopped = make(VARIANTS[variant])
    expected = finish(never_stopped)
    stopped = make(VARIANTS[variant])
    stopped.run_epoch()
    save_checkpoint(tmp_path / "trial.pt", stopped.state_dict())
    torch.manual_seed(99)
    resumed = make(VARIANTS[variant])
    resumed.load_state_dict(load_checkpoint(tmp_path / "trial.pt"))
    assert resumed.epoch == 1
    assert finish(resumed) == expected[1:]
    assert_same(resumed.state_dict(), never_stopped.state_dict())
    for ours, theirs in zip(
        resumed.model.parameters(), never_stopped.model.parameters(), strict=True
    ):
        assert ours.stride() == theirs.stride()


def test_a_checkpoint_of_the_end_is_finished(tmp_path):
    trial = make({"training.num_epochs": 1})
    trial.run_epoch()
    save_checkpoint(tmp_path / "trial.pt", trial.state_dict())
    resumed = make({"training.num_epochs": 1})
    resumed.load_state_dict(load_checkpoint(tmp_path / "trial.pt"))
    assert resumed.finished
    assert same_weights(resumed, trial)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"optimizer.lr": 0.02}, "`optimizer.lr` is 0.01 there and 0.02 here."),
        ({"seed": 5}, "`seed` is 0 there and 5 here."),
        ({"data.num_train": None}, "`data.num_train` is 128 there and None here."),
        ({"model.depth": 14}, "`model.depth` is 8 there and 14 here."),
        (
            {"training.num_epochs": 4},
            "`training.num_epochs` is 3 there and 4 here.",
        ),
        (
            {"modulation.enabled": False},
            "`modulation.enabled` is True there and False here.",
        ),
    ],
)
def test_a_checkpoint_of_another_config_is_refused_by_its_field(other, message):
    state, trial = make().state_dict(), make(other)
    before = {name: value.clone() for name, value in trial.model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        trial.load_state_dict(state)
    assert str(caught.value) == (
        f"The checkpoint must be of the same configuration, but {message} "
        "Train from the start, or use the checkpoint's own configuration."
    )
    assert_same(trial.model.state_dict(), before)


@pytest.mark.parametrize(
    "other",
    [
        {"data.root": "/elsewhere", "data.download": True},
        {"training.evaluate_test": True},
        {"modulation.schedule.gamma": 0.5},
    ],
)
def test_a_checkpoint_may_differ_in_what_changes_no_result(other):
    trial = make()
    trial.run_epoch()
    resumed = make(other)
    resumed.load_state_dict(trial.state_dict())
    assert resumed.epoch == 1
    assert same_weights(resumed, trial)


# Divergence

DIVERGING = {
    "optimizer.lr": 100,
    "optimizer.schedule.kind": "constant",
    "optimizer.schedule.warmup": 0,
    "training.num_epochs": 5,
}


@pytest.mark.parametrize(
    "values",
    [
        {"regularizer.coeff": 1000},
        {"regularizer.kind": "l2", "regularizer.coeff": 1000},
        {"regularizer.coeff": 1000, "modulation.enabled": False},
        {"regularizer.coeff": 1000, "training.precision": "bf16"},
    ],
)
def test_a_diverged_trial_is_a_result_with_finite_worst_cases(values):
    trial = make(DIVERGING, values)
    epochs = [trial.run_epoch()]
    while not trial.finished:
        epochs.append(trial.run_epoch())
    *before, last = epochs
    assert trial.diverged
    assert trial.epoch == len(epochs) < 5
    assert [metrics["diverged"] for metrics in before] == [0] * len(before)
    assert last["diverged"] == 1
    assert last["val_error"] == 1
    assert last["train_loss"] == last["val_loss"] == 1e6
    assert tuple(last) == METRICS
    assert all(math.isfinite(value) for metrics in epochs for value in metrics.values())
    with pytest.raises(RuntimeError, match=rf"epoch {trial.epoch} of 5 is done\. Look"):
        trial.run_epoch()


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_updates_that_do_not_fit_into_float16_are_left_out_and_no_divergence(kind):
    half = {"training.precision": "fp16", "training.num_epochs": 1}
    trial = make(half, {"optimizer.kind": kind})
    too_large = trial.state_dict()
    too_large["optimizer"]["scaler"]["scale"] = 2.0**40
    trial.load_state_dict(too_large)
    before = [p.detach().clone() for p in trial.model.parameters()]
    metrics = trial.run_epoch()  # of 4 updates
    assert metrics["diverged"] == 0
    assert metrics["val_error"] < 1
    assert all(map(torch.equal, before, trial.model.parameters()))
    assert not trial.state_dict()["optimizer"]["state"]
    assert trial.state_dict()["optimizer"]["scaler"]["scale"] == 2.0**36


def test_a_loss_that_does_not_fit_into_float16_is_divergence():
    trial = make({"training.precision": "fp16"})
    with torch.no_grad():
        trial.model.classifier.weight.fill_(1e5)
    assert trial.run_epoch()["diverged"] == 1


def test_a_diverged_trial_fails_the_test_too():
    values = {"regularizer.coeff": 1000, "training.evaluate_test": True}
    trial = make(DIVERGING, values)
    *before, last = finish(trial)
    assert last["diverged"] == 1
    assert last["test_error"] == 1
    assert not any("test_error" in metrics for metrics in before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classifier.bias", math.nan),
        ("layers.2.conv.weight", math.inf),
        ("layers.2.bn.bias", -math.inf),  # a ReLU hides it: every output stays finite
    ],
)
def test_a_weight_that_is_not_finite_ends_the_trial(name, value):
    trial = make({"training.num_epochs": 2})
    with torch.no_grad():
        trial.model.get_parameter(name)[3] = value
    metrics = trial.run_epoch()
    assert metrics["diverged"] == metrics["val_error"] == 1
    assert trial.finished


def test_a_diverged_trial_is_diverged_when_loaded(tmp_path):
    trial = make(DIVERGING, {"regularizer.coeff": 1000})
    while not trial.finished:
        trial.run_epoch()
    save_checkpoint(tmp_path / "trial.pt", trial.state_dict())
    resumed = make(DIVERGING, {"regularizer.coeff": 1000})
    resumed.load_state_dict(load_checkpoint(tmp_path / "trial.pt"))
    assert resumed.diverged
    assert resumed.finished


def test_a_trial_leaves_no_hooks_on_an_unmodulated_model():
    trial = make({"modulation.enabled": False, "training.num_epochs": 1})
    trial.run_epoch()
    for module in trial.model.modules():
        assert not module._forward_hooks
        assert not module._backward_hooks


def test_a_diagnostic_that_is_not_finite_does_not_end_the_trial():
    trial = Trial(TrialConfig.from_dict(SMALL_FIELDS))
    with torch.no_grad():  # a dead last layer: no error reaches the convolutions
        trial.model.layers[-1].bn.weight.zero_()
        trial.model.layers[-1].bn.bias.fill_(-1)
    metrics = trial.run_epoch()
    assert metrics["diverged"] == 0
    assert metrics["val_error"] < 1
    assert metrics["backward_error_ratio"] == 1e30


def test_two_trials_of_one_state_share_nothing():
    first = Trial(TrialConfig.from_dict(SMALL_FIELDS))
    first.run_epoch()
    second = Trial(TrialConfig.from_dict(SMALL_FIELDS))
    second.load_state_dict(first.state_dict())
    ours, theirs = first.run_epoch(), second.run_epoch()
    assert ours["train_loss"] == theirs["train_loss"]


def test_a_state_of_another_version_is_refused():
    trial = Trial(TrialConfig.from_dict(SMALL_FIELDS))
    state = trial.state_dict()
    with pytest.raises(CheckpointError, match="of this version of orthotune"):
        trial.load_state_dict({**state, "config": {"model.colour": "red"}})
    del state["config"]
    with pytest.raises(CheckpointError, match="of this version of orthotune"):
        trial.load_state_dict(state)


SMALL_FIELDS = {
    "model.depth": 8,
    "data.num_train": 128,
    "data.batch_size": 64,
    "training.num_epochs": 2,
}


def test_a_profile_is_of_every_layer_and_leaves_training_alone():
    looked_at, left_alone = make(), make()
    before = looked_at.profile()
    assert len(before["backward_error_moment"]) == SMALL["model.depth"] - 1
    assert len(before["gram_deviation"]) == SMALL["model.depth"]
    looked_at.run_epoch()
    left_alone.run_epoch()
    after = looked_at.profile()
    assert finish(looked_at) == finish(left_alone)
    assert same_weights(looked_at, left_alone)
    assert after["gram_deviation"] != before["gram_deviation"]
    assert after["singular_value"] == sorted(after["singular_value"])


def test_a_profile_starts_orthonormal_where_the_weights_do():
    profile = make({"init.scheme": "orthonormal"}).profile()
    assert max(profile["gram_deviation"]) < 1e-5
    assert profile["singular_value"] == pytest.approx([1.0] * 33, abs=1e-5)


def test_there_is_no_profile_of_what_is_not_finite():
    trial = make()
    with torch.no_grad():
        next(trial.model.parameters()).fill_(float("nan"))
    assert trial.profile() == {}


# Images that are read from files


@pytest.fixture
def folder(tmp_path):
    """The fields of a trial on class folders of images."""
    write_classes(tmp_path, ("ant", "bee", "cat"), num=30)
    own = {"data.name": "image_folder", "data.root": str(tmp_path)}
    own |= {"data.image_folder.size": 12, "data.image_folder.flips": True}
    return own | {"data.num_train": 50, "data.batch_size": 16, "data.augment": True}


def test_a_trial_is_the_same_whether_images_are_held_or_read_anew(folder):
    held, streamed = make(folder), make(folder, {"data.memory_share": 0})
    assert isinstance(held.dataset.train, Split)
    assert isinstance(streamed.dataset.train, StreamedSplit)
    assert finish(streamed) == finish(held)
    same_weights(held, streamed)
    assert streamed.profile() == held.profile()


def test_a_trial_that_reads_its_images_continues_as_if_never_stopped(folder, tmp_path):
    streamed = {**folder, "data.memory_share": 0, "data.workers": 0}
    whole = make(streamed)
    expected = finish(whole)
    first = make(streamed)
    first.run_epoch()
    save_checkpoint(tmp_path / "trial.pt", first.state_dict())
    # Continued on a machine with more memory.
    second = make(folder)
    second.load_state_dict(load_checkpoint(tmp_path / "trial.pt"))
    assert finish(second) == expected[1:]
    same_weights(whole, second)


def test_an_image_that_breaks_while_it_trains_is_named(folder, tmp_path):
    trial = make(folder, {"data.memory_share": 0, "data.workers": 0})
    trial.run_epoch()
    for file in sorted((tmp_path / "bee").iterdir()):
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"/bee/\d+\.png is empty\. Convert or mend it"):
        trial.run_epoch()


def test_fewer_of_larger_images_are_evaluated_at_once(folder, monkeypatch):
    seen = []
    trial = make(folder, {"data.image_folder.size": 128})
    trial.model.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 160)
    monkeypatch.setattr(splits, "FEWEST", 5)
    trial._evaluate(trial.dataset.val)
    assert seen == [50, 10, 8]  # to recalibrate with, and 18 images
