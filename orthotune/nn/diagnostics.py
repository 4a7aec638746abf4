"""Read-only views of a network: orthonormality and backward error, layer by layer."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orthotune.nn.graph import unchanged
from orthotune.nn.orthonormality import filter_bank, gram_deviation, parametric_layers
from orthotune.nn.probes import ErrorProbes, probed_layers


@torch.no_grad()
def gram_deviation_norms(model: nn.Module) -> Tensor:
    r"""Frobenius norm :math:`\lVert D(W_l) \rVert_F` of each layer's Gram deviation.

    Returns:
        Tensor of shape `(D,)`, one entry for each of the model's D convolutions and
        linear layers, in registration order; a weight that layers share counts once.
        The sum of its squares is the orthonormality penalty of the model, its maximum
        the Gram deviation.

    Example:
        >>> net = nn.Linear(2, 2, bias=False)
        >>> _ = nn.init.constant_(net.weight, 1.0)
        >>> gram_deviation_norms(net).tolist()  # Gram [[2, 2], [2, 2]]
        [3.1622776985168457]
    """
    norms = [
        torch.linalg.matrix_norm(gram_deviation(bank))
        for bank in _filter_banks(model).values()
    ]
    return torch.stack([n if n.ndim == 0 else torch.linalg.norm(n) for n in norms])


@dataclass(frozen=True, kw_only=True)
class SingularValues:
    """The extreme singular values of one layer's filter bank."""

    smallest: float
    largest: float


@torch.no_grad()
def singular_values(model: nn.Module) -> Tensor:
    """The singular values of all filter banks together, in ascending order.

    A layer with more filters than fan-in is read group by group, as the penalty reads
    it. All are 1 exactly when the penalty is zero.

    Returns:
        Tensor of shape `(N,)`, N the number of filters of all layers.

    Example:
        >>> net = nn.Linear(2, 2, bias=False)
        >>> _ = net.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.5]]))
        >>> singular_values(net).tolist()
        [0.5, 3.0]
    """
    banks = _filter_banks(model).values()
    return torch.cat([_of_filter_bank(bank) for bank in banks]).sort().values


def _filter_banks(model: nn.Module) -> dict[str, Tensor]:
    """The filter banks by the layers' names, also of weights that are computed."""
    banks: dict[str, Tensor] = {}
    seen: dict[int, object] = {}  # kept, so that no other gets its id
    for name, layer in parametric_layers(model).items():
        weight = layer.weight
        if id(weight) not in seen:
            seen[id(weight)] = weight
            banks[name] = filter_bank(layer)
    return banks


def _of_filter_bank(bank: Tensor) -> Tensor:
    groups = bank.split(bank.shape[-1], dim=-2)  # (O, M) or (G, O / G, M)
    return torch.cat(
        [torch.linalg.svdvals(group.float()).flatten() for group in groups]
    )


@torch.no_grad()
def extreme_singular_values(model: nn.Module) -> dict[str, SingularValues]:
    """Smallest and largest singular value of every convolution and linear layer.

    A layer with more filters than fan-in is read group by group, as the penalty reads
    it; the extremes are over its groups. All are 1 exactly when the penalty is zero.

    Returns:
        One entry a layer, by its name in the model.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2, bias=False))
        >>> _ = net[0].weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.5]]))
        >>> extreme_singular_values(net)
        {'0': SingularValues(smallest=0.5, largest=3.0)}
    """
    result = {}
    for name, layer in parametric_layers(model).items():
        values = _of_filter_bank(filter_bank(layer))
        result[name] = SingularValues(
            smallest=values.min().item(), largest=values.max().item()
        )
    return result


def backward_error_moments(
    model: nn.Module, loss: Callable[[], Tensor]
) -> dict[str, float]:
    """Second-order moment of the backward error at the output of every layer.

    Two forwards and one backward of `loss`. Gradients, buffers (batch-norm statistics),
    hooks of the model and torch's random state are left as they were.

    Args:
        model: Any model.
        loss: A function of no arguments that runs `model` and returns a scalar loss.

    Returns:
        The moments by layer name, of `probed_layers`: parametric layers that run once,
        in the order they run, without a linear layer at the end.

    Example:
        >>> net = nn.Conv2d(1, 1, 1)
        >>> backward_error_moments(net, lambda: net(torch.ones(1, 1, 2, 2)).sum())
        {'': 1.0}
        >>> net.weight.grad is None
        True
    """
    layers = probed_layers(model, loss)
    parameters = list(model.parameters())
    gradients = [parameter.grad for parameter in parameters]
    probes = ErrorProbes(list(layers.values()))
    try:
        for parameter in parameters:
            parameter.grad = None
        with unchanged(model):
            loss().backward()
        moments = probes.moments().tolist()
    finally:
        probes.remove()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
    return dict(zip(layers, moments, strict=True))


def backward_error_ratio(moments: Tensor) -> Tensor:
    r"""How much larger the backward error is at the bottom than at the top.

    .. math:: q_1 / q_L

    Args:
        moments: Second-order moments `(L,)` in forward order.

    Returns:
        Scalar tensor: 1 for a quasi-isometric backward pass; above 1 the error explodes
        on its way down, below 1 it vanishes.

    Example:
        >>> backward_error_ratio(torch.tensor([8.0, 4.0, 2.0])).item()
        4.0
    """
    return moments[0] / moments[-1]


@torch.no_grad()
def effective_rank(features: Tensor) -> Tensor:
    r"""In how many directions features vary: the exponential of their entropy.

    .. math:: \exp(-\sum_i p_i \log p_i), \quad p_i = s_i^2 / \sum_j s_j^2

    with the singular values :math:`s` of the centred features (Roy and Vetterli,
    EUSIPCO 2007, of the spectrum of the covariance).

    Args:
        features: Of images, `(B, F)`.

    Returns:
        Scalar tensor in [1, min(B, F)]; 1 also where nothing varies.

    Example:
        >>> effective_rank(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item()
        1.0
    """
    if not features.isfinite().all():
        return torch.full((), torch.nan)
    powers = torch.linalg.svdvals(features - features.mean(0)).square()
    total = powers.sum()
    if total == 0:
        return torch.ones(())
    return torch.special.entr(powers / total).sum().exp()
