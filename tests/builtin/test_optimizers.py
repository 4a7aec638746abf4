"""What the optimizers by name do, judged by their formulas in float64."""

import pytest
import torch
from torch import nn

from orthotune.config.contracts import Parameters
from orthotune.config.registry import ingredient
from orthotune.config.trial import TrialConfig
from orthotune.nn.lars import LARS
from orthotune.nn.muon import Muon
from orthotune.nn.networks import PlainCNN

RATES = [0.1, 0.3, 0.0, 0.02, 0.5]


def made(values, model, lr):
    config = TrialConfig.from_dict(values)
    kind = ingredient("optimizer", config.optimizer.kind)
    return kind.of(config.optimizer, Parameters(model), lr)


def test_adamw_follows_a_rate_that_changes_from_update_to_update(double):
    """A fused optimizer might keep the rate that it saw first."""
    model = nn.Linear(3, 2)
    lr = torch.zeros(())
    settings = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1}
    named = {f"optimizer.adamw.{name}": value for name, value in settings.items()}
    optimizer = made({"optimizer.kind": "adamw", **named}, model, lr)
    expected = model.weight.detach().clone()
    mean, square = torch.zeros(2, 3), torch.zeros(2, 3)
    for count, rate in enumerate(RATES, start=1):
        gradient = torch.randn(2, 3)
        lr.fill_(rate)
        model.weight.grad = gradient.clone()
        optimizer.step()
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.95 * square + 0.05 * gradient**2
        step = (mean / (1 - 0.8**count)) / ((square / (1 - 0.95**count)).sqrt() + 1e-3)
        expected = expected - rate * 0.1 * expected - rate * step
        torch.testing.assert_close(
            model.weight.detach(), expected, rtol=1e-12, atol=1e-12
        )


def test_muon_takes_the_hidden_layers_and_its_settings():
    model = PlainCNN(depth=8, widths=(4, 8, 16), in_channels=1)
    values = {
        "momentum": 0.5,
        "nesterov": False,
        "steps": 3,
        "adjust_lr": "original",
        "weight_decay": 0.1,
        "others_lr": 0.2,
        "beta1": 0.3,
        "beta2": 0.4,
        "eps": 0.5,
    }
    named = {f"optimizer.muon.{name}": value for name, value in values.items()}
    lr = torch.zeros(())
    optimizer = made({"optimizer.kind": "muon", **named}, model, lr)
    assert isinstance(optimizer, Muon)
    hidden, others = optimizer.param_groups
    convolutions = [p for p in model.parameters() if p.ndim == 4]
    assert list(map(id, hidden["params"])) == list(map(id, convolutions[1:]))
    assert len(hidden["params"] + others["params"]) == len(list(model.parameters()))
    for group in optimizer.param_groups:
        assert group["lr"] is lr
        assert group["betas"] == (values["beta1"], values["beta2"])
        for name in values.keys() - {"beta1", "beta2"}:
            assert group[name] == values[name], name


def test_lars_takes_its_settings():
    values = {"momentum": 0.5, "eta": 0.25, "weight_decay": 0.125}
    named = {f"optimizer.lars.{name}": value for name, value in values.items()}
    lr = torch.zeros(())
    optimizer = made({"optimizer.kind": "lars", **named}, nn.Linear(2, 2), lr)
    assert isinstance(optimizer, LARS)
    assert optimizer.param_groups[0].items() >= values.items()
    assert optimizer.param_groups[0]["lr"] is lr


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon", "lars"])
def test_fields_of_other_optimizers_are_not_part_of_a_trial(kind):
    names = TrialConfig.from_dict({"optimizer.kind": kind}).canonical()
    own = {name for name in names if name.startswith("optimizer.")}
    of_others = {
        name
        for name in own
        for other in {"adamw", "muon", "lars"} - {kind}
        if name.startswith(f"optimizer.{other}.")
    }
    assert not of_others
    assert ("optimizer.momentum" in own) == (kind == "sgd")
