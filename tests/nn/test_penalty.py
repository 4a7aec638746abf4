"""A penalty of one's own, against the closed form and against ours."""

import pytest
import torch
from torch import nn

from orthotune.nn.orthonormality import (
    OrthonormalityRegularizer,
    orthonormality_penalty,
    parametric_weights,
)
from orthotune.nn.penalty import PenaltyRegularizer


def weights_of(seed):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(20, 7)).double()
    return parametric_weights(net)


def test_the_gradient_of_a_function_is_that_of_the_closed_form():
    ours, theirs = weights_of(0), weights_of(0)
    for weight in (*ours, *theirs):
        weight.grad = torch.full_like(weight, 0.25)
    # Ours is half of lambda times the penalty.
    total = OrthonormalityRegularizer(ours).add_gradients(0.3)
    same = PenaltyRegularizer(theirs, orthonormality_penalty).add_gradients(0.15)
    torch.testing.assert_close(total, same, rtol=1e-12, atol=0)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-14)


def test_a_weight_without_a_gradient_gets_the_penaltys():
    weights = weights_of(1)
    PenaltyRegularizer(weights, lambda w: w.square().sum()).add_gradients(
        torch.tensor(0.5, dtype=torch.float64)
    )
    for weight in weights:
        torch.testing.assert_close(weight.grad, weight.detach())


@pytest.mark.parametrize("penalty", [lambda w: w, lambda w: 3.0, lambda w: w.sum(1)])
def test_a_penalty_that_is_no_scalar_is_refused(penalty):
    with pytest.raises(ValueError, match=r"must be a scalar tensor.*End it with"):
        PenaltyRegularizer(weights_of(0), penalty).add_gradients(1.0)
