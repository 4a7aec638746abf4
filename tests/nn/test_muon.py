import copy

import pytest
import torch
from torch import nn

from orthotune.nn.muon import Muon, hidden_weights, orthogonalized

EPS = torch.finfo(torch.bfloat16).eps
RATES = [0.02, 0.05, 0.01]


def updates(optimizer, lr, params, gradients):
    for rate, of_update in zip(RATES, gradients, strict=True):
        lr.fill_(rate)
        for param, gradient in zip(params, of_update, strict=True):
            param.grad = gradient.clone().view_as(param)
        optimizer.step()


def close(ours, theirs, before):
    """As near as steps of three numbers in bfloat16 can be told apart."""
    moved = (theirs - before).norm()
    assert moved > 0
    assert (ours - theirs).norm() <= 4 * EPS * moved


# The iteration


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (5, 5)])
def test_singular_values_are_those_of_the_polynomial_and_vectors_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(2, *shape)
    for ours, matrix in zip(orthogonalized(matrices, 5), matrices, strict=True):
        left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
        values = values / values.square().sum().sqrt()
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        expected = left @ values.diag() @ right
        # Each iteration can multiply what the one before has rounded.
        assert (ours.double() - expected).norm() <= 32 * EPS * expected.norm()


def test_a_matrix_of_zeros_stays_zero():
    assert (orthogonalized(torch.zeros(1, 3, 4), 5) == 0).all()


# The update, judged by torch's


@pytest.mark.parametrize("adjust_lr", ["original", "match_rms_adamw"])
@pytest.mark.parametrize(
    ("momentum", "nesterov", "decay"), [(0.95, True, 0.0), (0.5, False, 0.3)]
)
def test_matrices_step_as_torchs_muon_and_all_else_as_its_adamw(
    adjust_lr, momentum, nesterov, decay
):
    torch.manual_seed(0)
    shapes = [(6, 20), (6, 20), (20, 6), (9,), (3, 4)]
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = copy.deepcopy(ours)
    before = [p.detach().clone() for p in ours]
    gradients = [[torch.randn(shape) for shape in shapes] for _ in RATES]
    lr = torch.zeros((), dtype=torch.float64)
    shared = {"weight_decay": decay}
    optimizer = Muon(
        dict.fromkeys(ours[:3], 1),
        ours[3:],
        lr,
        momentum=momentum,
        nesterov=nesterov,
        adjust_lr=adjust_lr,
        others_lr=0.25,
        betas=(0.8, 0.9),
        eps=1e-5,
        **shared,
    )
    updates(optimizer, lr, ours, gradients)
    how = {"momentum": momentum, "nesterov": nesterov, "adjust_lr_fn": adjust_lr}
    muon = torch.optim.Muon(theirs[:3], **how, **shared)
    adamw = torch.optim.AdamW(theirs[3:], betas=(0.8, 0.9), eps=1e-5, **shared)
    for rate, of_update in zip(RATES, gradients, strict=True):
        muon.param_groups[0]["lr"] = rate
        adamw.param_groups[0]["lr"] = 0.25 * rate
        for param, gradient in zip(theirs, of_update, strict=True):
            param.grad = gradient.clone()
        muon.step()
        adamw.step()
    for our, their, start in zip(ours, theirs, before, strict=True):
        close(our.detach(), their.detach(), start)


def test_filters_of_convolutions_are_rows_in_any_memory_layout():
    """Judged by torch's on matrices of the same numbers, kernel by kernel."""
    torch.manual_seed(0)
    weights = [
        torch.randn(8, 3, 3, 3),
        torch.randn(8, 3, 3),
        torch.randn(6, 2, 1, 2, 3),
    ]
    ours = [nn.Parameter(weight.clone()) for weight in weights]
    ours[0] = nn.Parameter(weights[0].to(memory_format=torch.channels_last))
    theirs = [nn.Parameter(weight.flatten(1).clone()) for weight in weights]
    gradients = [[torch.randn_like(w) for w in weights] for _ in RATES]
    lr = torch.zeros(())
    updates(Muon(dict.fromkeys(ours, 1), [], lr), lr, ours, gradients)
    muon = torch.optim.Muon(theirs, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    for rate, of_update in zip(RATES, gradients, strict=True):
        muon.param_groups[0]["lr"] = rate
        for param, gradient in zip(theirs, of_update, strict=True):
            param.grad = gradient.flatten(1).clone()
        muon.step()
    for our, their, start in zip(ours, theirs, weights, strict=True):
        close(our.detach().flatten(1), their.detach(), start.flatten(1))
    assert ours[0].is_contiguous(memory_format=torch.channels_last)


def test_groups_of_a_convolution_are_matrices_of_their_own():
    torch.manual_seed(0)
    weight, gradient = torch.randn(2, 6, 2, 3, 3)
    whole = nn.Parameter(weight.clone())
    parts = [nn.Parameter(part.clone()) for part in weight.split(2)]
    lr = torch.zeros(())
    updates(Muon({whole: 3}, [], lr), lr, [whole], [[gradient]] * 3)
    split = [list(gradient.split(2))] * 3
    muon = Muon(dict.fromkeys(parts, 1), [], lr)
    updates(muon, lr, parts, split)
    joined = torch.cat([part.detach() for part in parts])
    close(whole.detach(), joined, weight)
    alone = nn.Parameter(weight.clone())
    updates(Muon({alone: 1}, [], lr), lr, [alone], [[gradient]] * 3)
    assert (alone - whole).norm() > 0.1 * (whole - weight).norm()


# Which parameters


def test_hidden_are_the_weights_between_the_first_and_the_last_layer():
    computed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    model = nn.ModuleDict(
        {
            "table": nn.Embedding(5, 4),
            "first": nn.Conv2d(3, 8, 3),
            "norm": nn.BatchNorm2d(8),
            "grouped": nn.Conv2d(8, 8, 3, groups=4),
            "computed": computed,
            "linear": nn.Linear(8, 8),
            "last": nn.Linear(8, 2),
        }
    )
    names = {p: name for name, p in model.named_parameters()}
    found = {names[p]: groups for p, groups in hidden_weights(model).items()}
    assert found == {"grouped.weight": 4, "linear.weight": 1}


def test_a_model_of_two_layers_has_no_hidden_one():
    assert hidden_weights(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))) == {}
    assert hidden_weights(nn.ReLU()) == {}


def test_a_state_is_continued_to_the_bit():
    torch.manual_seed(0)

    def made():
        torch.manual_seed(1)
        params = [nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(3))]
        return params, Muon({params[0]: 1}, params[1:], lr)

    lr = torch.zeros(())
    gradients = [[torch.randn(4, 6), torch.randn(3)] for _ in RATES]
    (ours, first), (theirs, second) = made(), made()
    updates(first, lr, ours, gradients)
    state = copy.deepcopy(first.state_dict())
    for mine, other in zip(ours, theirs, strict=True):
        other.data.copy_(mine.data)
    second.load_state_dict(state)
    for group in second.param_groups:
        group["lr"] = lr
    updates(first, lr, ours, gradients)
    updates(second, lr, theirs, gradients)
    assert all(map(torch.equal, ours, theirs))


def test_a_closure_evaluates_the_loss():
    weight = nn.Parameter(torch.ones(2, 2))

    def closure():
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert Muon({weight: 1}, [], lr=0.1).step(closure).item() == 4
    assert (weight < 1).all()
