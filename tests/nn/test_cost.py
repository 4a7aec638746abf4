import pytest
import torch
from torch import nn

from orthotune.nn.cost import num_macs, num_parameters
from orthotune.nn.networks import PlainCNN, ResidualCNN


def by_hand(depth, widths, size, channels=3, classes=10):
    """Multiplications and parameters of a plain network, layer by layer."""
    n, macs, parameters = (depth - 2) // 6, 0, 0
    inputs = channels
    layers = [(0, widths[0])] + [
        (stage, width) for stage, width in enumerate(widths) for _ in range(2 * n)
    ]
    for stage, width in layers:
        side = size // 2**stage
        weights = 9 * inputs * width
        macs += weights * side**2
        parameters += weights + 2 * width  # batch normalization: scale and shift
        inputs = width
    return macs + inputs * classes, parameters + (inputs + 1) * classes


@pytest.mark.parametrize(
    ("depth", "widths", "size"),
    [(8, (4, 8, 8), 8), (20, (16, 32, 64), 32), (56, (4, 2, 3), 16)],
)
def test_a_plain_network_costs_what_its_layers_do(depth, widths, size):
    model = PlainCNN(depth, widths)
    macs, parameters = by_hand(depth, widths, size)
    assert num_macs(model, torch.zeros(2, 3, size, size)) == macs
    assert num_parameters(model) == parameters


def test_shortcuts_are_free():
    plain, residual = PlainCNN(8), ResidualCNN(8)
    images = torch.zeros(1, 3, 8, 8)
    assert num_macs(residual, images) == num_macs(plain, images)


def test_counting_leaves_no_trace():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, groups=1), nn.BatchNorm2d(4), nn.Dropout())
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    num_macs(model, torch.ones(2, 3, 8, 8))
    assert torch.rand(1) == expected
    assert [module.training for module in model] == [True, False, True]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.soak  # it takes seconds to import
def test_a_cost_is_what_torch_counts_in_operations():
    from torch.utils.flop_counter import FlopCounterMode

    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.ConvTranspose2d(8, 6, 3, stride=2, groups=2),
        nn.Flatten(),
        nn.LazyLinear(5),
    ).eval()
    images = torch.zeros(3, 3, 11, 13)
    model(images)
    with FlopCounterMode(display=False) as counter:
        model(images)
    assert num_macs(model, images) == counter.get_total_flops() / 2 / 3


def test_groups_divide_the_cost():
    images = torch.zeros(1, 8, 6, 6)
    whole, grouped = (nn.Conv2d(8, 8, 3, padding=1, groups=g) for g in (1, 4))
    assert num_macs(whole, images) == 8 * 8 * 9 * 36
    assert num_macs(grouped, images) == 8 * 8 * 9 * 36 / 4
