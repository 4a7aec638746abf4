import pytest
import torch
from torch import nn

from orthotune.nn.probes import ErrorProbes, probed_layers


@pytest.mark.parametrize("compiled", [False, True])
def test_what_follows_a_probed_layer_may_work_in_place(compiled):
    """As in torchvision's VGG and AlexNet, where no norm is between."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten()),
        *(nn.Linear(16, 8), nn.ReLU(inplace=True), nn.Linear(8, 3)),
    )
    images = torch.randn(2, 1, 4, 4)
    net(images).logsumexp(1).sum().backward()
    expected = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    probes = ErrorProbes([net[0], net[3], net[5]])
    run = torch.compile(net, fullgraph=True, backend="aot_eager") if compiled else net
    run(images).logsumexp(1).sum().backward()
    for parameter, gradient in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    # the bias's gradient is the sum of the error
    assert probes.moments()[-1].item() == pytest.approx(
        (torch.softmax(net(images), 1).square().mean()).item()
    )


@pytest.mark.parametrize("shape", [(5, 4), (5, 7, 4), (5, 2, 3, 4)])
def test_the_errors_of_a_linear_layer_may_have_any_rank(shape):
    layer = nn.Linear(4, 3)
    probes = ErrorProbes([layer])
    out = layer(torch.randn(shape))
    torch.relu_(out).pow(2).sum().backward()
    expected = (2 * out.detach()).square().mean()
    torch.testing.assert_close(probes.moments()[0], expected)


def test_a_layer_without_gradients_can_be_probed():
    layer = nn.Linear(4, 3).requires_grad_(False)
    probes = ErrorProbes([layer])
    layer(torch.ones(2, 4)).sum().backward()
    assert probes.moments().tolist() == [1.0]


def test_probed_layers_come_in_the_order_they_run():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.norm = nn.Linear(4, 2), nn.BatchNorm1d(4)
            self.b, self.a = nn.Linear(4, 4), nn.Linear(4, 4)
            self.frozen, self.twice = nn.Linear(4, 4), nn.Linear(4, 4)
            self.never = nn.Linear(4, 4)

        def forward(self, x):
            with torch.no_grad():
                x = self.frozen(x)
            x = self.norm(self.b(self.a(x)))
            return self.head(torch.dropout(self.twice(self.twice(x)), 0.5, True))

    net, x = Net(), torch.randn(3, 4)
    state, mean = torch.get_rng_state(), net.norm.running_mean.clone()
    layers = probed_layers(net, lambda: net(x))
    assert list(layers) == ["a", "b"]
    assert layers["a"] is net.a
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(net.norm.running_mean, mean)
    assert not any(module._forward_hooks for module in net.modules())
