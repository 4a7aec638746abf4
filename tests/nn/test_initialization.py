import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from orthotune.nn.initialization import he_, initialize, orthonormal_
from orthotune.nn.modulation import ErrorProbes
from orthotune.nn.networks import PlainCNN
from orthotune.nn.orthonormality import orthonormality_penalty, parametric_weights


@pytest.mark.parametrize("shape", [(16, 3, 3, 3), (64, 64, 3, 3), (10, 64), (64, 8)])
def test_filters_are_orthonormal_inside_each_group(shape, generator):
    weight = orthonormal_(torch.empty(shape, dtype=torch.float64), generator)
    assert orthonormality_penalty(weight).item() < 1e-24


def test_the_same_seed_gives_the_same_weights_in_any_memory_format():
    plain = orthonormal_(torch.empty(8, 4, 3, 3), torch.Generator().manual_seed(1))
    last = torch.empty(8, 4, 3, 3).to(memory_format=torch.channels_last)
    orthonormal_(last, torch.Generator().manual_seed(1))
    assert torch.equal(plain, last)
    other = orthonormal_(torch.empty(8, 4, 3, 3), torch.Generator().manual_seed(2))
    assert not torch.equal(plain, other)


def test_orthonormal_rows_are_uniform_on_the_sphere(generator):
    # A uniform unit vector in R^3 has mean 0 and E[x^2] = 1/3 for every entry, also for
    # the entry QR would make positive without the sign fix.
    draws = torch.stack(
        [orthonormal_(torch.empty(2, 3), generator).flatten() for _ in range(4000)]
    )
    standard_error = math.sqrt(1 / 3 / 4000)
    assert draws.mean(0).abs().max().item() < 4 * standard_error
    assert (draws.square().mean(0) - 1 / 3).abs().max().item() < 0.03


@pytest.mark.parametrize(
    ("shape", "fan_out"), [((64, 32, 3, 3), 64 * 9), ((10, 640), 10)]
)
def test_he_weights_have_variance_two_over_fan_out(shape, fan_out, generator):
    weight = he_(torch.empty(shape), generator)
    assert weight.var().item() == pytest.approx(2 / fan_out, rel=0.05)
    standard_error = math.sqrt(2 / fan_out / weight.numel())
    assert abs(weight.mean().item()) < 4 * standard_error


@pytest.mark.parametrize("fill", [orthonormal_, he_])
def test_initialize_fills_every_weight_and_zeroes_biases(fill, generator):
    net = PlainCNN(depth=8)
    before = [weight.clone() for weight in parametric_weights(net)]
    initialize(net, fill, generator)
    for weight, old in zip(parametric_weights(net), before, strict=True):
        assert not torch.equal(weight, old)
    assert net.classifier.bias.abs().max().item() == 0
    assert net.layers[0].bn.weight.min().item() == 1


def test_without_a_filling_weights_and_biases_stay_as_they_are(generator):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = [parameter.clone() for parameter in net[0].parameters()]
    initialize(net, None, generator, 0.5)
    for parameter, old in zip(net[0].parameters(), before, strict=True):
        assert torch.equal(parameter, old)
    assert net[1].bias.tolist() == [0.5] * 4


@pytest.mark.parametrize("bias", [0.0, -0.5, 1.0])
def test_batch_norm_starts_with_weight_one_and_the_bias_asked_for(bias, generator):
    net = PlainCNN(depth=8, in_channels=1)
    for layer in net.layers:
        nn.init.constant_(layer.bn.weight, 3.0)
        nn.init.constant_(layer.bn.bias, 3.0)
    initialize(net, orthonormal_, generator, bias)
    assert all((layer.bn.weight == 1).all() for layer in net.layers)
    assert all((layer.bn.bias == bias).all() for layer in net.layers)


def test_the_error_grows_less_with_a_batch_norm_bias_and_vanishes_with_a_large_one(
    double,
):
    growth = []
    for bias in (0.0, 0.5, 1.0, 2.0):
        net = PlainCNN(depth=44, in_channels=1)
        initialize(net, orthonormal_, torch.Generator().manual_seed(0), bias)
        probes = ErrorProbes([layer.conv for layer in net.layers])
        images = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        F.cross_entropy(net(images), torch.arange(64) % 10).backward()
        moments = probes.moments()
        growth.append((moments[0] / moments[-1]).item() ** (1 / 42))
    assert growth == sorted(growth, reverse=True)
    assert 1.2 < growth[0] < 1.5
    assert 0.95 < growth[2] < 1.1
    assert growth[3] < 0.9


def test_each_group_of_a_convolution_is_orthonormal(generator, double):
    net = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), nn.Conv1d(8, 4, 3, groups=2))
    initialize(net, orthonormal_, generator)
    for layer in net:
        for part in layer.weight.detach().flatten(1).chunk(layer.groups):
            torch.testing.assert_close(part @ part.T, torch.eye(len(part)))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(24, 48, 3, groups=4, padding=1, bias=False),
        nn.ConvTranspose2d(48, 24, 3, padding=1, bias=False),
        nn.ConvTranspose1d(48, 24, 3, padding=1, groups=2, bias=False),
    ],
    ids=["grouped", "transposed", "grouped and transposed"],
)
def test_hes_gaussian_keeps_the_error_of_a_layer_through_a_relu(layer, generator):
    """What comes out below has twice the moment of what comes in above."""
    initialize(layer, he_, generator, by_outputs=True)
    shape = (64, layer.in_channels, *[12] * (layer.weight.ndim - 2))
    x = torch.zeros(shape, requires_grad=True)
    out = layer(x)
    out.backward(torch.randn(out.shape, generator=generator))
    inside = x.grad[..., 1:-1] if x.ndim == 3 else x.grad[..., 1:-1, 1:-1]
    assert inside.square().mean().item() == pytest.approx(2, rel=0.1)


def test_a_weight_that_is_computed_is_refused_by_name(generator):
    net = nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)))
    with pytest.raises(ValueError, match=r"that of '0' .* is computed from others"):
        initialize(net, he_, generator)


def test_what_is_neither_layer_nor_batch_norm_is_left_as_it_is(generator):
    net = nn.ModuleList([nn.Embedding(3, 4), nn.LSTM(4, 4), nn.LayerNorm(4)])
    before = [parameter.clone() for parameter in net.parameters()]
    initialize(net, he_, generator)
    for parameter, old in zip(net.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
