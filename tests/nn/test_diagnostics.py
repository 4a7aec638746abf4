import pytest
import torch
import torch.nn.functional as F
from torch import nn

from orthotune.nn.diagnostics import (
    backward_error_moments,
    backward_error_ratio,
    extreme_singular_values,
    gram_deviation_norms,
    singular_values,
)
from orthotune.nn.networks import PlainCNN, ResidualCNN
from orthotune.nn.orthonormality import (
    OrthonormalityRegularizer,
    orthonormality_penalty,
    parametric_weights,
)


def test_squared_gram_deviations_sum_to_the_penalty(double):
    torch.manual_seed(0)
    net = PlainCNN(depth=8)
    weights = parametric_weights(net)
    norms = gram_deviation_norms(net)
    each = torch.stack([orthonormality_penalty(weight) for weight in weights])
    torch.testing.assert_close(norms.square(), each.detach())
    total = OrthonormalityRegularizer(weights).add_gradients(0.0)
    torch.testing.assert_close(norms.square().sum(), total)


def test_singular_values_are_those_of_the_weight_matrix():
    torch.manual_seed(0)
    net = PlainCNN(depth=8, in_channels=1)
    values = extreme_singular_values(net)
    # the first layer has 16 filters of fan-in 9: read as groups of 9 and 7
    first = net.layers[0].conv.weight.detach().flatten(1)
    groups = [torch.linalg.svdvals(first[:9]), torch.linalg.svdvals(first[9:])]
    assert values["layers.0.conv"].largest == pytest.approx(
        max(group.max().item() for group in groups)
    )
    assert values["layers.0.conv"].smallest == pytest.approx(
        min(group.min().item() for group in groups)
    )
    second = torch.linalg.svdvals(net.layers[1].conv.weight.detach().flatten(1))
    assert values["layers.1.conv"].largest == pytest.approx(second.max().item())


def test_an_orthonormal_layer_has_singular_values_one():
    layer = nn.Linear(8, 4)
    nn.init.orthogonal_(layer.weight)
    values = extreme_singular_values(layer)[""]
    assert values.smallest == pytest.approx(1, abs=1e-6)
    assert values.largest == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("family", [PlainCNN, ResidualCNN])
def test_backward_error_moments_leave_no_trace(family):
    torch.manual_seed(0)
    net = family(depth=20, in_channels=1)
    images, targets = torch.randn(8, 1, 8, 8), torch.arange(8)
    F.cross_entropy(net(images), targets).backward()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    kept = [parameter.grad for parameter in net.parameters()]
    copies = [gradient.clone() for gradient in kept]
    moments = backward_error_moments(net, lambda: F.cross_entropy(net(images), targets))
    assert len(moments) == 19
    assert all(moment > 0 for moment in moments.values())
    assert all(p.grad is g for p, g in zip(net.parameters(), kept, strict=True))
    assert all(torch.equal(g, c) for g, c in zip(kept, copies, strict=True))
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not any(module._forward_hooks for module in net.modules())


def test_the_error_grows_towards_the_bottom_of_a_plain_network():
    # The phenomenon the method exists for (method note, section 3).
    torch.manual_seed(0)
    net = PlainCNN(depth=44, in_channels=1)
    images, targets = torch.randn(64, 1, 8, 8), torch.arange(64) % 10
    moments = backward_error_moments(net, lambda: F.cross_entropy(net(images), targets))
    ratio = backward_error_ratio(torch.tensor(list(moments.values())))
    assert ratio.item() > 1e3


class Strange(nn.Module):
    """A branch, groups, a computed weight, dropout, and layers that do not run."""

    def __init__(self):
        super().__init__()
        self.second = nn.Conv1d(6, 6, 3, groups=6, padding=1)
        self.first = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 6, 3))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.twice, self.unused = nn.Linear(6, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = self.first(x)
        x = (x + F.dropout(self.second(x), 0.5)).transpose(1, 2)
        x = self.twice(self.twice(self.attention(x, x, x)[0]))
        return self.head(x.mean(1))


def test_moments_of_any_network_are_of_the_layers_that_run_once(double):
    torch.manual_seed(0)
    net, images = Strange(), torch.randn(8, 2, 9)
    errors = {}

    def watch(name):
        def hook(_module, _inputs, output):
            output.register_hook(lambda error: errors.update({name: error}))

        return hook

    handles = [
        net.get_submodule(n).register_forward_hook(watch(n))
        for n in ("first", "second")
    ]
    state = torch.get_rng_state()
    moments = backward_error_moments(net, lambda: net(images).logsumexp(1).sum())
    assert torch.equal(torch.get_rng_state(), state)
    assert list(moments) == ["first", "second"]  # as they run, not as they are made
    for name, moment in moments.items():
        assert moment == pytest.approx(errors[name].square().mean().item())
    assert len(handles) == 2


def test_gram_deviation_and_singular_values_of_any_network(double):
    torch.manual_seed(0)
    net = Strange()
    norms = gram_deviation_norms(net)
    extremes = extreme_singular_values(net)
    names = ["second", "first", "attention.out_proj", "twice", "unused", "head"]
    assert list(extremes) == names
    depthwise = net.second.weight.detach().flatten(1).norm(dim=1)
    assert norms[0].item() == pytest.approx((depthwise**2 - 1).norm().item())
    assert extremes["second"].largest == pytest.approx(depthwise.max().item())
    computed = net.first.weight.detach().flatten(1)
    deviation = computed @ computed.T - torch.eye(6)
    assert norms[1].item() == pytest.approx(deviation.norm().item())
    assert len(singular_values(net)) == 6 + 6 + 6 + 6 + 6 + 4
