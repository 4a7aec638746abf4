import pytest
import torch
from torch import nn

from orthotune.config.registry import ingredient


@pytest.mark.parametrize(
    ("name", "expected"), [("orthonormal", 0.0), ("l2", 5.0)], ids=["orthonormal", "l2"]
)
def test_a_depthwise_convolution_is_regularized_filter_by_filter(name, expected):
    """Five filters of norm 1: equal, but of different channels."""
    net = nn.Conv1d(5, 5, 4, groups=5, bias=False)
    nn.init.constant_(net.weight, 0.5)
    penalty = ingredient("regularizer", name).of(None, net).add_gradients(1.0)
    assert penalty.item() == expected
    shrunk = torch.full_like(net.weight, 0.0 if name == "orthonormal" else 0.5)
    assert torch.equal(net.weight.grad, shrunk)
