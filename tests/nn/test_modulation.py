"""Post-hoc scaling against the paper's in-backward scaling, which lives only here."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from orthotune.nn.modulation import (
    ErrorProbes,
    attach,
    gradient_scales,
    modulation_factors,
)
from orthotune.nn.networks import PlainCNN, ResidualCNN


class InBackwardModulation:
    """The paper's procedure as written: the error itself is scaled on its way down.

    A full hook on every convolution's output sees the error that already carries the
    factors of all layers above, compares its moment with that of the next higher
    layer's modulated error, and passes the scaled error on.
    """

    def __init__(self, layers, threshold, strength):
        self.threshold, self.strength = threshold, strength
        self.moment_above = None
        for layer in layers:
            layer.conv.register_forward_hook(self._on_forward)

    def _on_forward(self, _module, _inputs, output):
        output.register_hook(self._on_backward)

    def _on_backward(self, error):
        moment = error.square().mean()
        factor = torch.ones_like(moment)
        if self.moment_above is not None:
            ratio = self.moment_above / moment
            if ratio.log().abs() > self.threshold:
                factor = ratio ** (self.strength / 2)
        self.moment_above = moment * factor**2
        return error * factor


def gradients(net):
    return {name: parameter.grad for name, parameter in net.named_parameters()}


def batch(size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 1, 8, 8, generator=generator)
    return images, torch.randint(0, 10, (size,), generator=generator)


def backward(net, seed=0):
    images, targets = batch(seed=seed)
    F.cross_entropy(net(images), targets).backward()


@pytest.mark.parametrize("depth", [44, 110])
@pytest.mark.parametrize("threshold", [0.0, 0.1])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_post_hoc_scaling_agrees_with_in_backward_scaling(
    depth, threshold, strength, double
):
    torch.manual_seed(depth)
    ours = PlainCNN(depth=depth, widths=(4, 8, 16), in_channels=1)
    reference = copy.deepcopy(ours)
    handle = attach(ours.layers)
    backward(ours)
    moments = handle.scale_gradients(threshold, strength)
    InBackwardModulation(reference.layers, threshold, strength)
    backward(reference)
    expected = gradients(reference)
    for name, gradient in gradients(ours).items():
        error = (gradient - expected[name]).norm() / expected[name].norm()
        assert error.item() <= 1e-9, name
    factors = modulation_factors(moments, threshold, strength)
    assert (factors != 1).sum().item() > depth // 2  # the comparison is not vacuous


def test_modulated_moments_are_equal_at_strength_one_and_threshold_zero(double):
    torch.manual_seed(0)
    net = PlainCNN(depth=20, in_channels=1)
    probes = ErrorProbes([layer.conv for layer in net.layers])
    backward(net)
    moments = probes.moments()
    scales = gradient_scales(moments, 0.0, 1.0)
    modulated = moments * scales[:-1] ** 2
    torch.testing.assert_close(modulated, modulated[-1:].expand_as(modulated))


def test_moments_are_those_of_the_error_autograd_gives(double):
    torch.manual_seed(0)
    net = PlainCNN(depth=8, in_channels=1)
    outputs = []
    for layer in net.layers:
        layer.conv.register_forward_hook(lambda *args: outputs.append(args[-1]))
    probes = ErrorProbes([layer.conv for layer in net.layers])
    images, targets = batch()
    loss = F.cross_entropy(net(images), targets)
    errors = torch.autograd.grad(loss, outputs, retain_graph=True)
    loss.backward()
    expected = torch.stack([error.square().mean() for error in errors])
    torch.testing.assert_close(probes.moments(), expected)


def test_factors_follow_the_formula_by_hand():
    q = torch.tensor([8.0, 2.0, 2.1, 0.5], dtype=torch.float64)
    # log ratios: ln(1/4), ln(1.05), ln(0.238); only the middle one is below 0.1
    assert modulation_factors(q, 0.1, 1.0).tolist() == pytest.approx(
        [0.5, 1.0, (0.5 / 2.1) ** 0.5, 1.0]
    )
    assert modulation_factors(q, 0.1, 0.5).tolist() == pytest.approx(
        [0.25**0.25, 1.0, (0.5 / 2.1) ** 0.25, 1.0]
    )


def test_a_ratio_at_the_threshold_is_not_a_mismatch():
    q = torch.tensor([1.0, 2.0], dtype=torch.float64)
    threshold = (q[1].log() - q[0].log()).item()
    assert modulation_factors(q, threshold, 1.0).tolist() == [1.0, 1.0]
    assert modulation_factors(q, threshold * 0.999, 1.0)[0].item() > 1.4


def test_scales_are_products_of_the_factors_above():
    q = torch.rand(12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    factors = modulation_factors(q, 0.2, 0.7)
    scales = gradient_scales(q, 0.2, 0.7)
    assert scales.shape == (13,)
    assert scales[-1].item() == 1
    for index in range(12):
        assert scales[index].item() == pytest.approx(factors[index:].prod().item())


@pytest.mark.parametrize("bad", [0.0, float("inf"), float("nan")])
def test_a_moment_without_a_ratio_gives_factor_one(bad):
    q = torch.tensor([4.0, bad, 1.0, 9.0])
    assert modulation_factors(q, 0.0, 1.0).tolist() == [1.0, 1.0, 3.0, 1.0]


def test_strength_zero_leaves_gradients_bit_for_bit():
    torch.manual_seed(0)
    net = PlainCNN(depth=20, in_channels=1)
    plain = copy.deepcopy(net)
    handle = attach(net.layers)
    backward(net)
    backward(plain)
    handle.scale_gradients(threshold=0.0, strength=0.0)
    for name, gradient in gradients(net).items():
        assert torch.equal(gradient, gradients(plain)[name]), name


def test_threshold_and_strength_may_be_tensors(double):
    torch.manual_seed(0)
    q = torch.rand(5)
    expected = gradient_scales(q, 0.3, 0.5)
    ours = gradient_scales(q, torch.tensor(0.3), torch.tensor(0.5))
    assert torch.equal(ours, expected)


def test_attaching_changes_neither_outputs_nor_gradients_and_removes_cleanly():
    torch.manual_seed(0)
    net = PlainCNN(depth=20, in_channels=1)
    plain = copy.deepcopy(net)
    identities = [id(parameter) for parameter in net.parameters()]
    handle = attach(net.layers)
    images, _ = batch()
    assert torch.equal(net(images), plain(images))
    backward(net)
    backward(plain)
    for name, gradient in gradients(net).items():
        assert torch.equal(gradient, gradients(plain)[name]), name
    handle.remove()
    assert [id(parameter) for parameter in net.parameters()] == identities
    assert list(net.state_dict()) == list(plain.state_dict())
    for module in net.modules():
        assert not module._forward_hooks
        assert not module._backward_hooks


def test_moments_add_up_over_backward_passes_and_reset_forgets():
    layer = torch.nn.Linear(2, 3)
    probes = ErrorProbes([layer])
    for _ in range(2):
        layer(torch.ones(4, 2)).sum().backward()
    assert probes.moments().tolist() == [2.0]
    probes.reset()
    with pytest.raises(RuntimeError, match="after `backward`"):
        probes.moments()


def test_probes_are_idle_without_gradients():
    layer = torch.nn.Linear(2, 3)
    probes = ErrorProbes([layer])
    with torch.no_grad():
        assert layer(torch.ones(4, 2)).grad_fn is None
    with pytest.raises(RuntimeError, match="seen a backward"):
        probes.moments()


def test_moments_of_a_bfloat16_error_are_taken_in_float32():
    layer = torch.nn.Linear(2, 3, dtype=torch.bfloat16)
    probes = ErrorProbes([layer])
    layer(torch.ones(4, 2, dtype=torch.bfloat16)).sum().backward()
    assert probes.moments().dtype == torch.float32


# What is no chain


def trained(layers, forward, passes=1):
    """The handle's verdict on layers after a backward pass or several."""
    handle = attach(layers)
    for seed in range(passes):
        images, targets = batch(seed=seed)
        F.cross_entropy(forward(images), targets).backward()
    try:
        return handle.scale_gradients(0.1, 1.0)
    finally:
        handle.remove()


@pytest.mark.parametrize("passes", [1, 3])
def test_a_chain_is_taken_also_batch_part_by_batch_part(passes):
    net = PlainCNN(depth=14, in_channels=1)
    assert trained(net.layers, net, passes).shape == (13,)
    assert trained(net.layers[3:9], net, passes).shape == (6,)  # a part is one, too


@pytest.mark.parametrize("passes", [1, 2])
def test_layers_in_another_order_are_refused_at_the_first_backward(passes):
    net = PlainCNN(depth=14, in_channels=1)
    backwards = list(reversed(net.layers))
    with pytest.raises(ValueError, match=r"order 0, 1, 2, .* \(expected: 12, 11, 10,"):
        trained(backwards, net, passes)
    swapped = [net.layers[1], net.layers[0], *net.layers[2:]]
    with pytest.raises(ValueError, match="must be a chain in forward order"):
        trained(swapped, net, passes)


def test_a_layer_that_runs_twice_is_refused():
    net = PlainCNN(depth=8, in_channels=1)
    inner = net.layers[1]

    def forward(images):
        out = inner(inner(net.layers[0](images)))
        return net.classifier(net.layers[2:](out).mean(dim=(2, 3)))

    with pytest.raises(ValueError, match="or leave out what runs more than once"):
        trained(net.layers, forward)


def test_layers_that_are_no_chain_are_refused_again_and_never_scaled():
    """As by a cell of a notebook that is run twice."""
    net = PlainCNN(depth=8, in_channels=1)
    handle = attach(list(reversed(net.layers)))
    for _ in range(3):
        net.zero_grad()
        backward(net)
        before = [p.grad.clone() for p in net.parameters()]
        with pytest.raises(ValueError, match="must be a chain in forward order"):
            handle.scale_gradients(0.1, 1.0)
        for p, gradient in zip(net.parameters(), before, strict=True):
            assert torch.equal(p.grad, gradient)


def test_an_empty_module_is_a_shortcut_too():
    """As usual in CIFAR's residual networks, where nothing is to be projected."""
    net = PlainCNN(depth=8, in_channels=1)
    net.layers[2].shortcut = nn.Sequential()
    with pytest.raises(ValueError, match=r"but layer 2 \(ConvBNReLU\) has one"):
        attach(net.layers)


def test_layers_with_shortcuts_are_refused_when_they_are_attached():
    net = ResidualCNN(depth=20, in_channels=1)
    with pytest.raises(ValueError, match=r"but layer 1 \(ConvBNReLU\) has one"):
        attach(net.layers)
    assert not any(layer.conv._forward_hooks for layer in net.layers)


def test_the_order_is_looked_at_once():
    net = PlainCNN(depth=8, in_channels=1)
    handle = attach(net.layers)
    with_check = [len(layer.conv._forward_hooks) for layer in net.layers]
    backward(net)
    handle.scale_gradients(0.1, 1.0)
    after = [len(layer.conv._forward_hooks) for layer in net.layers]
    assert (with_check, after) == ([2] * 7, [1] * 7)
    handle.remove()
    assert not any(layer.conv._forward_hooks for layer in net.layers)


def test_attaching_leaves_a_compiled_network_whole():
    net = PlainCNN(depth=8, in_channels=1)
    handle = attach(net.layers)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    backward(compiled)
    assert handle.scale_gradients(0.1, 1.0).shape == (7,)
    handle.remove()
