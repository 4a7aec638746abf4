import itertools
import sys
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from orthotune.config.trial import TrialConfig
from orthotune.data.dataset import Split
from orthotune.errors import ConfigError
from orthotune.nn.networks import PlainCNN, ResidualCNN
from orthotune.training.loop import Trial
from orthotune.training.update import Update

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SMALL = {"model.depth": 8, "model.widths": [4, 8, 16]}
KINDS = {
    "paper": {},
    "bf16": {"training.precision": "bf16"},
    "l2": {"regularizer.kind": "l2"},
    "no regularizer": {"regularizer.kind": "none"},
    "no modulation": {"modulation.enabled": False},
    "residual": {"model.family": "residual", "modulation.enabled": False},
    "in parts": {"data.num_micro_batches": 2},
    "nesterov": {"optimizer.nesterov": True},
    "no momentum": {"optimizer.momentum": 0.0},
    "smoothed": {"training.label_smoothing": 0.1},
    "clipped": {"training.clip_norm": 0.5},
    "adamw": {"optimizer.kind": "adamw"},
    "muon": {"optimizer.kind": "muon"},
    "lars": {"optimizer.kind": "lars"},
}


def make(*overrides, device=CPU):
    """An update and its model."""
    values = dict(SMALL)
    for override in overrides:
        values |= override
    config = TrialConfig.from_dict(values)
    torch.manual_seed(0)
    network = ResidualCNN if config.model.family == "residual" else PlainCNN
    model = network(
        depth=config.model.depth, widths=config.model.widths, in_channels=1
    ).to(device, memory_format=torch.channels_last)
    return Update(config, model, torch.zeros(2, 1, 8, 8, device=device)), model


def batch_of(size, device=CPU):
    images = torch.randn(size, 1, 8, 8, device=device)
    return Split(images=images, targets=torch.arange(size, device=device) % 10)


# Settings


def test_settings_are_those_of_the_middle_of_each_update():
    update, _ = make(
        {
            "training.num_epochs": 4,
            "optimizer.lr": 0.4,
            "optimizer.schedule.kind": "linear",
            "optimizer.schedule.warmup": 0,
            "regularizer.coeff": 0.01,
            "modulation.threshold": 0.3,
            "modulation.strength": 0.7,
        }
        | {"modulation.schedule.kind": "window", "modulation.schedule.stop": 0.4}
    )
    table = update.settings(epoch=1, updates=2)
    assert table.shape == (2, 4)
    # Of 4 epochs of 2 updates these are the third and the fourth: 2.5 and 3.5 of 8.
    lr = [0.4 * (1 - 2.5 / 8), 0.4 * (1 - 3.5 / 8)]
    assert table[:, 0].tolist() == pytest.approx(lr)
    assert table[:, 1].tolist() == [0.01, 0.01]
    assert table[:, 2].tolist() == [0.3, 0.3]
    assert table[:, 3].tolist() == [0.7, 0.0]


def test_settings_that_change_do_so_between_epochs():
    changes = {"changes.epochs": [2], "changes.lr": [0.5], "changes.strength": [0.1]}
    constant = {"optimizer.schedule.kind": "constant", "optimizer.schedule.warmup": 0}
    update, _ = make(changes, constant, {"optimizer.lr": 0.25})
    before, after = update.settings(1, 1)[0], update.settings(2, 1)[0]
    assert (before[0], before[3]) == (0.25, 1.0)
    assert (after[0], after[3]) == (0.5, pytest.approx(0.1))


def test_a_loaded_optimizer_steps_as_this_configuration_says():
    ours, model = make({"optimizer.lr": 0.1})
    theirs, _ = make({"optimizer.lr": 0.1})
    row = torch.tensor([0.1, 0.0, 0.1, 0.0])
    theirs(batch_of(8), row)
    state = theirs.state_dict()
    state["param_groups"][0] |= {"lr": 123.0, "fused": None}  # as an older one wrote it
    ours.load_state_dict(state)
    before = [p.detach().clone() for p in model.parameters()]
    ours(batch_of(8), row * 0)
    assert all(map(torch.equal, before, model.parameters()))


def test_every_group_of_parameters_steps_as_this_configuration_says():
    ours, model = make(KINDS["muon"])
    theirs, _ = make(KINDS["muon"], {"optimizer.muon.weight_decay": 1.0})
    row = torch.tensor([0.1, 0.0, 0.1, 0.0])
    theirs(batch_of(8), row)
    ours.load_state_dict(theirs.state_dict())
    groups = ours._optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0, 0]
    before = [p.detach().clone() for p in model.parameters()]
    ours(batch_of(8), row * 0)
    assert all(map(torch.equal, before, model.parameters()))
    ours(batch_of(8), row)  # the first of these parameters, all others behind them
    assert not any(map(torch.equal, before, model.parameters()))


# Gradients


@pytest.mark.parametrize("batch_norm", ["evaluating", "absent"])
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 7, 15])
def test_gradients_of_the_parts_add_up_to_the_whole_batchs(batch_norm, parts, double):
    values = {"data.num_micro_batches": parts, "modulation.enabled": False}
    update, model = make(values)
    batch = batch_of(30)
    if batch_norm == "absent":
        for layer in model.layers:
            layer.bn = nn.Identity()
    else:
        model(batch.images)  # statistics of its own
        model.eval()
    loss = F.cross_entropy(model(batch.images), batch.targets)
    expected = torch.autograd.grad(loss, list(model.parameters()))
    seen = []
    model.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    ours = update._accumulate_gradients(batch)
    assert len(seen) == parts
    assert max(map(len, seen)) - min(map(len, seen)) <= 1
    assert torch.equal(torch.cat(seen), batch.images)
    assert abs(ours.item() - loss.item()) <= 1e-12
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert gradient.abs().max() > 1e-6
        assert (parameter.grad - gradient).abs().max() <= 1e-12


# The GPU path: no wait for the device, one program for every trial of a shape


class NoWaiting(TorchDispatchMode):
    """Refuses to bring a number of a tensor to the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket._qualified_op_name
        waits = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique")
        assert name.removeprefix("aten::") not in waits, f"{name} waits for the device"
        if name == "aten::_to_copy":
            there = (kwargs or {}).get("device", args[0].device)
            assert there == args[0].device, "a copy to the host waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_brings_no_number_to_the_host(kind):
    update, _ = make(KINDS[kind])
    batch, rows = batch_of(8), update.settings(0, 3)
    update(batch, rows[0], probe=True)
    with NoWaiting():
        update(batch, rows[1])
        update(batch, rows[2], probe=True)


def test_what_would_wait_for_the_device_is_noticed():
    with NoWaiting(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(()).item()


@pytest.mark.parametrize("augment", [False, True])
def test_the_batches_of_an_epoch_bring_no_number_to_the_host(augment):
    values = {**SMALL, "data.augment": augment, "data.num_train": 128}
    batches = Trial(TrialConfig.from_dict(values))._batches()
    next(batches)  # the epoch's order and draws are sent at its start
    with NoWaiting():
        assert len(list(batches)) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("kind", KINDS)
def test_an_update_does_not_wait_for_the_gpu(kind):
    device = torch.device("cuda")
    update, _ = make(KINDS[kind], device=device)
    batch, rows = batch_of(8, device), update.settings(0, 2).to(device)
    update(batch, rows[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        update(batch, rows[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def compiled(monkeypatch):
    """What was compiled, graph by graph; a graph that breaks is an error."""
    torch._dynamo.reset()
    graphs = []

    def backend(module, _examples):
        graphs.append(module)
        return module

    compile_as_is = torch.compile
    monkeypatch.setattr(
        torch,
        "compile",
        lambda program, **options: compile_as_is(program, backend=backend, **options),
    )
    monkeypatch.setenv("CXX", sys.executable)  # any program: it is not run
    yield graphs
    torch._dynamo.reset()


def test_trials_of_one_shape_are_compiled_once(compiled):
    results = []
    for number in range(3):
        fields = {
            "training.compile": True,
            "optimizer.lr": 0.01 * (number + 1),
            "regularizer.coeff": 0.001 * number,
            "modulation.threshold": 0.1 * number,
            "optimizer.momentum": 0.3 * number,
        }
        update, _ = make(fields)
        rows = update.settings(0, 4)
        losses = [update(batch_of(8), row)[0].item() for row in rows]
        results.append(losses[-1])
    assert len(compiled) == 1
    assert len(set(results)) == 3


@pytest.mark.soak
def test_every_shape_of_a_study_is_compiled(compiled):
    for width in range(1, 12):  # torch would stop at the ninth
        update, _ = make({"training.compile": True, "model.widths": [width, 12, 12]})
        update(batch_of(8), update.settings(0, 1)[0])
        assert len(compiled) == width


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="but no-such-compiler was not found"):
        make({"training.compile": True})


@pytest.mark.parametrize("kind", ["paper", "bf16", "l2", "no modulation"])
def test_a_compiled_update_is_the_plain_one(kind, compiled):
    batch = batch_of(8)
    ours, our_model = make(KINDS[kind], {"training.compile": True})
    theirs, their_model = make(KINDS[kind])
    for row in ours.settings(0, 2):
        assert ours(batch, row)[0] == theirs(batch, row)[0]
    pairs = zip(our_model.parameters(), their_model.parameters(), strict=True)
    assert all(itertools.starmap(torch.equal, pairs))
    assert compiled


@pytest.mark.parametrize(
    "kinds",
    [
        ["no modulation", "no modulation"],
        ["no modulation", "paper"],
        ["paper", "no modulation", "paper"],
        ["residual", "residual"],
    ],
    ids=" ".join,
)
def test_probes_are_seen_by_what_was_compiled_without_them(kinds, compiled):
    """In one update of each epoch, and in the next trial of the same process."""
    batch = batch_of(8)
    for kind in kinds:
        ours, our_model = make(KINDS[kind], {"training.compile": True})
        theirs, their_model = make(KINDS[kind])
        for probe in (False, True, False, True):
            row = ours.settings(0, 1)[0]
            loss, moments = ours(batch, row, probe=probe)
            expected, their_moments = theirs(batch, row, probe=probe)
            assert loss == expected
            assert (moments is None) == (their_moments is None)
            assert moments is None or torch.equal(moments, their_moments)
        pairs = zip(our_model.parameters(), their_model.parameters(), strict=True)
        assert all(itertools.starmap(torch.equal, pairs))
    assert len(compiled) <= 2


def test_probes_are_seen_in_whichever_thread(compiled):
    """torch keeps the settings of its compiler by thread."""
    batch, (ours, _) = (
        batch_of(8),
        make(KINDS["no modulation"], {"training.compile": True}),
    )
    row, found = ours.settings(0, 1)[0], []

    def train():
        found.extend(ours(batch, row, probe=probe)[1] for probe in (False, True))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found[0] is None
    assert len(found[1]) == SMALL["model.depth"] - 1


@pytest.mark.parametrize("kind", ["paper", "l2"])
def test_both_ingredients_are_one_graph_and_read_their_settings_from_it(kind, compiled):
    update, model = make(KINDS[kind])
    plain, plain_model = make(KINDS[kind])
    update._combine = torch.compile(update._combine, fullgraph=True)
    batch = batch_of(8)
    for row in update.settings(0, 3) * torch.tensor([1, 2, 0.5, 1.0]):
        update(batch, row)
        plain(batch, row)
    assert len(compiled) == 1
    pairs = zip(model.parameters(), plain_model.parameters(), strict=True)
    assert all(itertools.starmap(torch.equal, pairs))
