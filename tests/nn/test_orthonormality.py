from itertools import pairwise

import pytest
import torch
from torch import nn

from orthotune.nn.initialization import orthonormal_
from orthotune.nn.networks import PlainCNN
from orthotune.nn.orthonormality import (
    L2Regularizer,
    OrthonormalityRegularizer,
    gram_deviation,
    orthonormality_penalty,
    orthonormality_penalty_gradient,
    parametric_layers,
    parametric_weights,
)

SHAPES = [(4, 3, 3, 3), (27, 3, 3, 3), (16, 4, 1, 1), (10, 64), (50, 9), (1, 1)]


def relative_error(ours, reference):
    return ((ours - reference).norm() / reference.norm()).item()


def random_weight(shape, generator):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_penalty_of_a_scaled_orthonormal_matrix_is_known():
    # (s^2 - 1)^2 for each of the 3 rows
    weight = 3 * torch.eye(3, 7, dtype=torch.float64)
    assert orthonormality_penalty(weight).item() == 3 * (9 - 1) ** 2


def test_penalty_of_two_equal_unit_rows_is_two():
    # off-diagonal entries 1 and 1, diagonal 0
    assert orthonormality_penalty(torch.tensor([[1.0, 0], [1.0, 0]])).item() == 2


def test_a_group_holds_at_most_fan_in_filters_and_groups_do_not_interact():
    # 5 filters of fan-in 2: groups {0, 1}, {2, 3}, {4}
    identity = torch.eye(2, dtype=torch.float64)
    weight = torch.cat([identity, identity, identity[:1]])
    assert orthonormality_penalty(weight).item() == 0
    broken = weight.clone()
    broken[1] = broken[0]  # inside a group
    assert orthonormality_penalty(broken).item() == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_penalty_agrees_with_singular_values(shape, generator):
    # sum over groups of sum_i (s_i^2 - 1)^2, by an independent decomposition
    weight = random_weight(shape, generator)
    matrix = weight.flatten(1)
    expected = sum(
        (torch.linalg.svdvals(group).square() - 1).square().sum()
        for group in matrix.split(matrix.shape[1])
    )
    torch.testing.assert_close(orthonormality_penalty(weight), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_closed_form_gradient_agrees_with_autograd(shape, generator):
    weight = random_weight(shape, generator).requires_grad_()
    (reference,) = torch.autograd.grad(orthonormality_penalty(weight), weight)
    ours = orthonormality_penalty_gradient(weight)
    assert relative_error(ours, reference) < 1e-13
    assert not ours.requires_grad


def test_penalty_passes_gradcheck(generator):
    weight = random_weight((5, 3, 1, 1), generator).requires_grad_()
    assert torch.autograd.gradcheck(orthonormality_penalty, weight)


@pytest.mark.parametrize("shape", SHAPES)
def test_penalty_is_unchanged_by_an_orthogonal_change_of_input(shape, generator):
    matrix = random_weight(shape, generator).flatten(1)
    rotation, _ = torch.linalg.qr(random_weight((matrix.shape[1],) * 2, generator))
    torch.testing.assert_close(
        orthonormality_penalty(matrix @ rotation), orthonormality_penalty(matrix)
    )


@pytest.mark.parametrize("shape", [(4, 9), (4, 1, 3, 3), (9, 9)])
def test_penalty_is_zero_after_torchs_orthogonal_init(shape):
    weight = nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64))
    assert orthonormality_penalty(weight).item() < 1e-26


def test_a_weight_of_rank_one_is_refused():
    with pytest.raises(ValueError, match=r"shape \(O, C, kH, kW\).*got shape \(64,\)"):
        orthonormality_penalty(torch.ones(64))


def test_gram_deviation_of_a_stack_is_the_stack_of_deviations(generator):
    stack = random_weight((3, 5, 2), generator)
    each = torch.stack([gram_deviation(matrix) for matrix in stack])
    torch.testing.assert_close(gram_deviation(stack), each)


def test_parametric_weights_are_convolutions_and_the_classifier():
    net = PlainCNN(depth=20)
    assert len(parametric_layers(net)) == 20
    weights = parametric_weights(net)
    assert all(weight.ndim >= 2 for weight in weights)
    assert {id(weight) for weight in weights}.isdisjoint(
        id(parameter) for parameter in net.parameters() if parameter.ndim == 1
    )


def test_a_shared_weight_is_regularized_once():
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    assert len(parametric_weights(nn.Sequential(first, second))) == 1


@pytest.mark.parametrize("depth", [44, 110])
@pytest.mark.parametrize("memory_format", [torch.channels_last, None])
def test_regularizer_agrees_with_autograd_on_a_whole_network(
    depth, memory_format, double
):
    torch.manual_seed(0)
    net = PlainCNN(depth=depth, widths=(4, 8, 16), in_channels=1)
    if memory_format is not None:
        net = net.to(memory_format=memory_format)
    weights = parametric_weights(net)
    coeff = 0.37
    loss = coeff / 2 * sum(orthonormality_penalty(weight) for weight in weights)
    reference = torch.autograd.grad(loss, weights)
    noise = [torch.randn_like(weight) for weight in weights]
    for weight, gradient in zip(weights, noise, strict=True):
        weight.grad = gradient.clone()  # what backward left
    total = OrthonormalityRegularizer(weights).add_gradients(coeff)
    for weight, before, expected in zip(weights, noise, reference, strict=True):
        assert relative_error(weight.grad - before, expected) < 1e-12
    torch.testing.assert_close(total, loss.detach() * 2 / coeff)


def test_l2_regularizer_agrees_with_autograd(double):
    torch.manual_seed(0)
    net = PlainCNN(depth=8)
    weights = parametric_weights(net)
    squares = sum(weight.square().sum() for weight in weights)
    reference = torch.autograd.grad(0.1 / 2 * squares, weights)
    total = L2Regularizer(weights).add_gradients(torch.tensor(0.1))
    for weight, expected in zip(weights, reference, strict=True):
        torch.testing.assert_close(weight.grad, expected)
    torch.testing.assert_close(total, squares.detach())


@pytest.mark.parametrize("regularizer", [OrthonormalityRegularizer, L2Regularizer])
def test_coefficient_zero_leaves_gradients_as_they_are(regularizer):
    weight = nn.Parameter(torch.randn(4, 3, 3, 3))
    weight.grad = torch.randn(4, 3, 3, 3)
    before = weight.grad.clone()
    regularizer([weight]).add_gradients(0.0)
    assert torch.equal(weight.grad, before)


def test_twenty_steps_of_the_regularizer_alone_lower_the_penalty():
    torch.manual_seed(0)
    weights = parametric_weights(PlainCNN(depth=8))
    regularizer = OrthonormalityRegularizer(weights)
    optimizer = torch.optim.SGD(weights, lr=0.05)
    penalties = []
    for _ in range(20):
        optimizer.zero_grad()
        penalties.append(regularizer.add_gradients(1.0).item())
        optimizer.step()
    assert all(later < earlier for earlier, later in pairwise(penalties))
    assert penalties[-1] < 0.1 * penalties[0]


def test_an_orthonormal_network_has_no_orthonormality_gradient(generator):
    weight = nn.Parameter(orthonormal_(torch.empty(40, 3, 3, 3), generator))
    penalty = OrthonormalityRegularizer([weight]).add_gradients(1.0)
    assert penalty.item() < 1e-10
    assert weight.grad.abs().max().item() < 1e-5


# Layers of any network


def test_groups_of_a_convolution_are_filter_banks_of_their_own(generator, double):
    """Filters of different groups see different channels: orthogonal as they are."""
    conv = nn.Conv2d(8, 12, 3, groups=4, bias=False)
    operator = torch.zeros(12, 8, 3, 3)  # the same map as a full convolution
    for k, part in enumerate(conv.weight.detach().chunk(4)):
        operator[3 * k : 3 * k + 3, 2 * k : 2 * k + 2] = part
    expected = orthonormality_penalty(operator)  # 12 filters of fan-in 72: one group
    (reference,) = torch.autograd.grad(
        sum(orthonormality_penalty(part) for part in conv.weight.chunk(4)), conv.weight
    )
    conv.weight.grad = None
    total = OrthonormalityRegularizer(conv).add_gradients(0.5)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(conv.weight.grad, 0.25 * reference)


def test_a_depthwise_filter_has_its_norm_regularized_alone(double):
    conv = nn.Conv2d(5, 5, 3, groups=5, bias=False)
    norms = conv.weight.detach().flatten(1).norm(dim=1)
    total = OrthonormalityRegularizer(conv).add_gradients(0.0)
    torch.testing.assert_close(total, ((norms**2 - 1) ** 2).sum())


def test_a_model_is_regularized_as_its_weights_are():
    torch.manual_seed(0)
    net = PlainCNN(depth=8, in_channels=1).to(memory_format=torch.channels_last)
    results = []
    for regularizer in (OrthonormalityRegularizer, L2Regularizer):
        for weights in (net, parametric_weights(net)):
            net.zero_grad()
            total = regularizer(weights).add_gradients(0.1)
            results.append([total, *(w.grad for w in parametric_weights(net))])
    for one, other in (results[:2], results[2:]):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_isometric_transposed_convolution_has_no_penalty(double, generator):
    """Read as what it transposes; with a kernel as large as its stride it is one."""
    conv = nn.ConvTranspose2d(3, 2, 2, stride=2, bias=False)
    orthonormal_(conv.weight.data, generator)
    x = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(conv(x).norm(), x.norm())
    assert OrthonormalityRegularizer(conv).add_gradients(0.0).item() < 1e-26


def test_a_weight_that_is_computed_is_refused_by_name():
    net = nn.Sequential(
        nn.Linear(3, 3), nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    )
    for use in (parametric_weights, OrthonormalityRegularizer, L2Regularizer):
        with pytest.raises(ValueError, match=r"that of '1' .* is computed from others"):
            use(net)
