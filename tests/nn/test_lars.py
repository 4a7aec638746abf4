import copy

import pytest
import torch
from torch import nn

from orthotune.nn.lars import LARS

CLOSE = {"rtol": 1e-14, "atol": 0}


def textbook(weight, gradients, rates, momentum, eta, decay):
    """Algorithm 1 of the paper, one layer, in plain loops."""
    weight, velocity = weight.clone(), torch.zeros_like(weight)
    for gradient, rate in zip(gradients, rates, strict=True):
        of_weight = sum(float(x) ** 2 for x in weight.flatten()) ** 0.5
        of_gradient = sum(float(x) ** 2 for x in gradient.flatten()) ** 0.5
        local = eta * of_weight / (of_gradient + decay * of_weight)
        velocity = momentum * velocity + rate * local * (gradient + decay * weight)
        weight = weight - velocity
    return weight


@pytest.mark.parametrize("shape", [(3, 4), (4, 2, 3, 3), (2, 3, 2)])
@pytest.mark.parametrize(
    ("momentum", "eta", "decay"), [(0.9, 0.001, 0.0), (0.0, 0.02, 0.1), (0.5, 1, 5e-4)]
)
def test_every_layer_steps_as_the_paper_says(shape, momentum, eta, decay, double):
    weights = [torch.randn(shape), 100 * torch.randn(shape)]
    gradients = [[torch.randn(shape) for _ in range(4)] for _ in weights]
    rates = [3.0, 1.0, 7.0, 0.5]
    params = [nn.Parameter(weight.clone()) for weight in weights]
    if len(shape) == 4:
        params = [nn.Parameter(p.to(memory_format=torch.channels_last)) for p in params]
    lr = torch.zeros(())
    ours = LARS(params, lr, momentum=momentum, eta=eta, weight_decay=decay)
    for index, rate in enumerate(rates):
        lr.fill_(rate)
        for param, of_param in zip(params, gradients, strict=True):
            param.grad = of_param[index].clone()
        ours.step()
    for param, weight, of_param in zip(params, weights, gradients, strict=True):
        expected = textbook(weight, of_param, rates, momentum, eta, decay)
        torch.testing.assert_close(param.detach(), expected, rtol=1e-12, atol=1e-14)


def test_a_step_without_momentum_and_decay_is_a_share_of_the_norm(double):
    param = nn.Parameter(torch.randn(5, 7))
    before = param.detach().clone()
    param.grad = 1e9 * torch.randn(5, 7)  # whatever its size
    LARS([param], lr=2.0, momentum=0, eta=0.01).step()
    moved = (param.detach() - before).norm()
    torch.testing.assert_close(moved, 0.02 * before.norm(), **CLOSE)


def test_biases_step_as_in_plain_sgd_and_do_not_decay(double):
    bias = nn.Parameter(torch.tensor([1.0, -2.0]))
    ours = LARS([bias], lr=0.5, momentum=0.9, eta=0.001, weight_decay=10.0)
    for _ in range(2):
        bias.grad = torch.tensor([0.2, 0.4])
        ours.step()
    # v = 0.1, then 0.9 * 0.1 + 0.1 = 0.19
    expected = torch.tensor([1 - 0.29, -2 - 0.58])
    torch.testing.assert_close(bias.detach(), expected, **CLOSE)


@pytest.mark.parametrize("zero", ["weight", "gradient"])
def test_a_layer_of_no_norm_or_no_gradient_stays_finite(zero, double):
    weight = nn.Parameter(torch.ones(2, 2) * (zero != "weight"))
    weight.grad = torch.ones(2, 2) * (zero != "gradient")
    LARS([weight], lr=0.25).step()
    expected = {"weight": -0.25, "gradient": 1.0}[zero]
    assert weight.flatten().tolist() == [expected] * 4


def test_what_has_no_gradient_is_left_alone(double):
    used, unused = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    used.grad = torch.ones(2, 2)
    ours = LARS([used, unused], lr=1.0)
    ours.step()
    assert (unused == 1).all()
    assert len(ours.state_dict()["state"]) == 1


def test_a_closure_evaluates_the_loss(double):
    weight = nn.Parameter(torch.ones(2, 2))
    ours = LARS([weight], lr=1.0)

    def closure():
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert ours.step(closure).item() == 4
    assert (weight < 1).all()


def test_a_copy_goes_on_with_the_same_state(double):
    weight = nn.Parameter(torch.randn(3, 3))
    ours = LARS([weight], lr=1.0, eta=0.1)
    weight.grad = torch.randn(3, 3)
    ours.step()
    other = nn.Parameter(weight.detach().clone())
    theirs = LARS([other], lr=1.0, eta=0.1)
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    weight.grad, other.grad = (torch.ones(3, 3) for _ in range(2))
    ours.step()
    theirs.step()
    assert torch.equal(weight, other)
