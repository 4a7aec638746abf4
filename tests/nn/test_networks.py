import pytest
import torch
import torch.nn.functional as F
from torch import nn

from orthotune.nn.networks import ConvBNReLU, PlainCNN, ResidualCNN
from orthotune.nn.orthonormality import parametric_layers


@pytest.mark.parametrize("depth", [8, 20, 32, 44, 56, 74, 110])
@pytest.mark.parametrize("family", [PlainCNN, ResidualCNN])
def test_depth_counts_the_parametric_layers(depth, family):
    net = family(depth=depth)
    assert len(parametric_layers(net)) == depth
    assert len(net.layers) == depth - 1


def test_stages_halve_the_resolution_and_change_the_width():
    net = PlainCNN(depth=20, widths=(4, 6, 10), in_channels=2, num_classes=7)
    sizes = []
    for layer in net.layers:
        layer.register_forward_hook(lambda *args: sizes.append(tuple(args[-1].shape)))
    assert net(torch.zeros(2, 2, 16, 16)).shape == (2, 7)
    assert sizes == ([(2, 4, 16, 16)] * 7 + [(2, 6, 8, 8)] * 6 + [(2, 10, 4, 4)] * 6)


def test_parameters_of_plain_20_are_counted_by_hand():
    # convolutions 9*(3*16 + 6*16*16 + 16*32 + 5*32*32 + 32*64 + 5*64*64),
    # batch norms 2*(7*16 + 6*32 + 6*64), classifier 64*10 + 10
    convolutions = 9 * (48 + 6 * 256 + 512 + 5 * 1024 + 2048 + 5 * 4096)
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    expected = convolutions + norms + 650
    assert sum(p.numel() for p in PlainCNN(depth=20).parameters()) == expected
    assert sum(p.numel() for p in ResidualCNN(depth=20).parameters()) == expected


def test_residual_network_with_silent_branches_is_its_shortcuts():
    torch.manual_seed(0)
    net = ResidualCNN(depth=8, widths=(2, 3, 5), in_channels=1).eval()
    for block in net.blocks:
        nn.init.zeros_(block.second.bn.weight)
    images = torch.randn(2, 1, 8, 8)
    x = net.stem(images)
    x = x[:, :, ::4, ::4]  # two halvings
    x = F.pad(x, (0, 0, 0, 0, 0, 3)).mean((2, 3))
    torch.testing.assert_close(net(images), net.classifier(x))


def test_residual_layers_are_in_forward_order():
    net = ResidualCNN(depth=14, in_channels=1)
    order = []
    for module in net.modules():
        if isinstance(module, ConvBNReLU):
            module.register_forward_hook(lambda m, *_: order.append(m))
    net(torch.zeros(2, 1, 8, 8))
    assert order == net.layers


def test_residual_widths_must_not_decrease():
    with pytest.raises(ValueError, match=r"must not decrease, but got \[32, 16, 64\]"):
        ResidualCNN(depth=8, widths=(32, 16, 64))
    PlainCNN(depth=8, widths=(32, 16, 64))


@pytest.mark.parametrize("widths", [(16, 32), (16, 32, 64, 128), (0, 1, 1)])
def test_widths_are_three_positive_numbers(widths):
    with pytest.raises(ValueError, match="3 positive numbers of filters"):
        PlainCNN(depth=8, widths=widths)
