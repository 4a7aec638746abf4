r"""Orthonormality of filter banks: the penalty, its gradient, its regularizer.

Letters: `O` output channels (filters), `M` = C kH kW fan-in, `L` layers of one shape.
:math:`W` is a weight read as a matrix of shape `(O, M)`, **one filter a row**. The
paper writes the transpose (a filter a column), so its :math:`W^\top W` is
:math:`W W^\top` here.

Wide layers. With `O > M` the rows cannot all be orthonormal. The filters are split in
order into `ceil(O / M)` groups of at most `M`, and orthonormality is asked inside each
group: entries of the Gram matrix between two groups are masked out. (Paper, section
3.1; it leaves the number of groups ambiguous.)
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

PARAMETRIC = (_ConvNd, nn.Linear)
"""Kinds of parametric layers: convolutions of any rank, transposed too, and linear."""


def weight_matrix(weight: Tensor) -> Tensor:
    """The weight read as a matrix, one filter a row.

    Args:
        weight: Tensor of shape `(O, C, kH, kW)`, or any `(O, ...)` of rank >= 2.

    Returns:
        Tensor of shape `(O, M)`; a view where the memory layout allows it.

    Raises:
        ValueError: If `weight` has fewer than two dimensions.

    Example:
        >>> weight_matrix(torch.zeros(16, 3, 3, 3)).shape
        torch.Size([16, 27])
    """
    if weight.ndim < 2:
        raise ValueError(
            "`weight` must have shape (O, C, kH, kW) or (O, M), "
            f"but got shape {tuple(weight.shape)}. Leave biases and normalization out."
        )
    return weight.flatten(1)


def filter_bank(layer: nn.Module) -> Tensor:
    """The weight of a parametric layer as matrices, one filter a row.

    Filters of different groups of a grouped convolution see different channels: they
    are orthogonal as they are, and each group is a filter bank of its own. A transposed
    convolution is read as the convolution that it transposes.

    Args:
        layer: One of `parametric_layers`.

    Returns:
        Tensor of shape `(O, M)`, or `(G, O / G, M)` of a convolution of G > 1 groups,
        with M = C kH kW / G.

    Example:
        >>> filter_bank(nn.Conv2d(8, 16, 3, groups=4)).shape
        torch.Size([4, 4, 18])
    """
    matrix = weight_matrix(layer.weight)  # pyright: ignore[reportArgumentType]
    groups = num_groups(layer)
    return matrix if groups == 1 else matrix.unflatten(0, (groups, -1))


def num_groups(layer: nn.Module) -> int:
    """Groups of a convolution; 1 of a linear layer."""
    return layer.groups if isinstance(layer, _ConvNd) else 1


def _group_mask(
    rows: int, fan_in: int, dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """One inside a group of filters, zero between two; None for a single group."""
    if rows <= fan_in:
        return None
    group = torch.arange(rows, device=device) // fan_in  # (O,)
    return (group[:, None] == group[None, :]).to(dtype)  # (O, O)


def gram_deviation(matrix: Tensor) -> Tensor:
    r"""Distance of the Gram matrix from the identity, entry by entry.

    .. math:: D(W) = K \circ (W W^\top - I)

    :math:`K` is one inside a group of at most `M` filters and zero between groups; for
    `O <= M` there is one group and :math:`K` is all ones.

    Args:
        matrix: Tensor of shape `(O, M)` or a stack `(L, O, M)`; floating point.

    Returns:
        Symmetric tensor of shape `(O, O)` or `(L, O, O)`, of the dtype and device of
        `matrix`; zero exactly when the filters of each group are orthonormal.

    Example:
        >>> gram_deviation(torch.eye(2, 5)).abs().max().item()
        0.0
    """
    rows, fan_in = matrix.shape[-2:]
    identity = torch.eye(rows, dtype=matrix.dtype, device=matrix.device)
    if matrix.ndim == 2:
        deviation = torch.addmm(identity, matrix, matrix.mT, beta=-1)
    else:
        identity = identity.expand(matrix.shape[0], -1, -1)
        deviation = torch.baddbmm(identity, matrix, matrix.mT, beta=-1)
    mask = _group_mask(rows, fan_in, matrix.dtype, matrix.device)
    return deviation if mask is None else deviation * mask


def orthonormality_penalty(weight: Tensor) -> Tensor:
    r"""Squared Frobenius distance of a filter bank's Gram matrix from the identity.

    .. math:: P(W) = \lVert K \circ (W W^\top - I) \rVert_F^2

    with :math:`K` as in `gram_deviation`.

    Args:
        weight: Tensor of shape `(O, C, kH, kW)` or `(O, M)`; floating point.

    Returns:
        Scalar tensor of the dtype and device of `weight`; zero exactly when the filters
        of each group are orthonormal. Autograd can differentiate it.

    Raises:
        ValueError: If `weight` has fewer than two dimensions.

    Example:
        >>> orthonormality_penalty(torch.eye(3, 5)).item()
        0.0
        >>> orthonormality_penalty(2 * torch.eye(3, 5)).item()  # 3 * (4 - 1)^2
        27.0

    References:
        Xie, Xiong and Pu, "All You Need is Beyond a Good Init", CVPR 2017,
        https://arxiv.org/abs/1703.01827, Eq. 3.
    """
    return gram_deviation(weight_matrix(weight)).square().sum()


def orthonormality_penalty_gradient(weight: Tensor) -> Tensor:
    r"""Gradient of `orthonormality_penalty` in closed form.

    .. math:: \nabla P(W) = 4 \, D(W) \, W

    since :math:`D` is symmetric and :math:`K \circ K = K`. The loss
    :math:`(\lambda / 2) P` therefore adds :math:`2 \lambda D W`.

    Args:
        weight: Tensor of shape `(O, C, kH, kW)` or `(O, M)`; floating point.

    Returns:
        Tensor of the shape, dtype and device of `weight`, without an autograd graph.

    Raises:
        ValueError: If `weight` has fewer than two dimensions.

    Example:
        >>> orthonormality_penalty_gradient(2 * torch.eye(1, 2)).tolist()  # 4 * 3 * 2
        [[24.0, 0.0]]
    """
    with torch.no_grad():
        matrix = weight_matrix(weight)
        return (4 * gram_deviation(matrix) @ matrix).view(weight.shape)


def parametric_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The convolutions and linear layers of a model, by name, in registration order.

    Other matrices are none: embeddings, recurrent layers, `nn.Bilinear`, the joint
    projection of `nn.MultiheadAttention` (its `out_proj` is a linear layer).

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
        >>> list(parametric_layers(net))
        ['0']
    """
    return {n: m for n, m in model.named_modules() if isinstance(m, PARAMETRIC)}


def parametric_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights of `parametric_layers`, without biases; each parameter once.

    Raises:
        ValueError: If the weight of a layer is computed.
    """
    layers = parametric_layers(model).items()
    return list(dict.fromkeys(weight_parameter(name, layer) for name, layer in layers))


def weight_parameter(name: str, layer: nn.Module) -> nn.Parameter:
    """The weight of a parametric layer.

    Raises:
        ValueError: If it is no parameter, as under `torch.nn.utils.parametrizations`.
    """
    weight = layer.weight
    if not isinstance(weight, nn.Parameter):
        raise ValueError(
            f"The weight of a layer must be a parameter, but that of {name!r} "
            f"({type(layer).__name__}) is computed from others. Remove its "
            "parametrization, or name the weights that are meant yourself."
        )
    return weight


def stacked(tensors: Iterable[Tensor], groups: int) -> Tensor:
    """One `(L G, O / G, M)` tensor of the filter banks of L weights of one shape.

    The entries of a filter are in an order of their own, that of `add_stacked`.
    """
    matrices = torch.stack([_filters_last(tensor).flatten(1) for tensor in tensors])
    if groups == 1:
        return matrices  # (L, O, M)
    return matrices.unflatten(1, (groups, -1)).flatten(0, 1)


def add_stacked(tensors: list[Tensor], steps: Tensor) -> None:
    """Add to each of L tensors of one shape its part of what `stacked` gives."""
    views = [_filters_last(tensor) for tensor in tensors]
    rows = steps.reshape(len(tensors), -1).unbind()
    torch._foreach_add_(views, [row.view(views[0].shape) for row in rows])


def _filters_last(tensor: Tensor) -> Tensor:
    """The same filters with their entries in memory order.

    A channels_last weight is permuted to `(O, kH, kW, C)`: the order of a filter's
    entries changes no inner product, and this order needs no strided copy.
    """
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor


class OrthonormalityRegularizer:
    r"""The orthonormality loss of a model, its gradient added after backward.

    .. math:: R = \frac{\lambda}{2} \sum_{l=1}^{D} P(W_l)

    over all convolutions and linear layers. It *replaces* weight decay on these weights
    (paper, Eq. 3); the authors advise against L2 on some layers and orthonormality on
    others. Filter banks of one shape are one batched product (a plain network of any
    depth has seven shapes), and no autograd graph is built.

    Args:
        weights: A model, for the weights of its parametric layers, grouped convolutions
            group by group; or parameters of shape `(O, ...)`, each one filter bank.

    Raises:
        ValueError: If the weight of a layer of the model is computed.

    Example:
        >>> layer = nn.Linear(4, 2, bias=False)
        >>> _ = nn.init.orthogonal_(layer.weight)
        >>> regularizer = OrthonormalityRegularizer(layer)
        >>> layer(torch.ones(1, 4)).sum().backward()
        >>> bool(regularizer.add_gradients(0.1) < 1e-10)
        True
    """

    def __init__(self, weights: nn.Module | Iterable[nn.Parameter]) -> None:
        banks: defaultdict[tuple[int, ...], list[Tensor]] = defaultdict(list)
        for weight, groups in _with_groups(weights).items():
            banks[(groups, *weight.shape)].append(weight)
        self._banks = [(shape[0], bank) for shape, bank in banks.items()]

    @torch.no_grad()
    def add_gradients(self, coeff: float | Tensor) -> Tensor:
        r"""Add :math:`2 \lambda D(W_l) W_l` to the gradient of every weight.

        Args:
            coeff: :math:`\lambda`, a float or a scalar tensor on the weights' device.

        Returns:
            The sum of the penalties of all weights (not times `coeff`), a scalar
            tensor from the same Gram matrices.
        """
        penalties = []
        for groups, bank in self._banks:
            matrices = stacked(bank, groups)  # (L, O, M)
            deviation = gram_deviation(matrices)  # (L, O, O)
            penalties.append(deviation.square().sum())
            steps = torch.bmm(deviation * (2 * coeff), matrices)  # (L, O, M)
            add_stacked([_gradient(weight) for weight in bank], steps)
        return torch.stack(penalties).sum()


def _with_groups(weights: nn.Module | Iterable[nn.Parameter]) -> dict[Tensor, int]:
    """Weights, each with its number of groups."""
    if not isinstance(weights, nn.Module):
        return dict.fromkeys(weights, 1)
    layers = parametric_layers(weights).items()
    return {weight_parameter(name, layer): num_groups(layer) for name, layer in layers}


class L2Regularizer:
    r"""Weight decay as a loss, :math:`(\lambda / 2) \sum_l \lVert W_l \rVert_F^2`.

    The paper's rival of `OrthonormalityRegularizer`, with the same interface: it acts
    on the weights it is given and on nothing else.

    Args:
        weights: A model, for the weights of its parametric layers; or parameters.

    Example:
        >>> weight = nn.Parameter(torch.ones(2, 2))
        >>> weight.grad = torch.zeros(2, 2)
        >>> L2Regularizer([weight]).add_gradients(0.5).item()
        4.0
        >>> weight.grad.tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """

    def __init__(self, weights: nn.Module | Iterable[nn.Parameter]) -> None:
        self._weights: list[Tensor] = list(_with_groups(weights))

    @torch.no_grad()
    def add_gradients(self, coeff: float | Tensor) -> Tensor:
        r"""Add :math:`\lambda W_l` to the gradient of every weight.

        Args:
            coeff: :math:`\lambda`, a float or a scalar tensor on the weights' device.

        Returns:
            The sum of the squared norms of all weights, a scalar tensor.
        """
        factor = torch.as_tensor(coeff)
        decay = [weight * factor for weight in self._weights]
        torch._foreach_add_([_gradient(weight) for weight in self._weights], decay)
        return torch.stack(torch._foreach_norm(self._weights)).square().sum()


def _gradient(weight: Tensor) -> Tensor:
    """The gradient of a weight, made zero where backward has left none."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad
