"""A penalty of one's own, differentiated by autograd."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class PenaltyRegularizer:
    r"""The sum of a penalty over weights, its gradient added after backward.

    .. math:: R = \lambda \sum_l p(W_l)

    Args:
        weights: Parameters of shape `(O, ...)`, as `parametric_weights` gives them.
        penalty: :math:`p`, of one weight; a scalar tensor that autograd can
            differentiate.

    Example:
        >>> weight = nn.Parameter(torch.tensor([[3.0, -4.0]]))
        >>> regularizer = PenaltyRegularizer([weight], lambda w: w.abs().sum())
        >>> regularizer.add_gradients(0.5).item(), weight.grad.tolist()
        (7.0, [[0.5, -0.5]])
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        penalty: Callable[[Tensor], Tensor],
    ) -> None:
        self._weights = list(weights)
        self._penalty = penalty

    def add_gradients(self, coeff: float | Tensor) -> Tensor:
        r"""Add :math:`\lambda \nabla p(W_l)` to the gradient of every weight.

        Args:
            coeff: :math:`\lambda`, a float or a scalar tensor on the weights' device.

        Returns:
            The sum of the penalties of all weights (not times `coeff`), a scalar
            tensor.

        Raises:
            ValueError: If the penalty of a weight is no scalar tensor.
        """
        with torch.enable_grad():
            total = sum(map(self._of, self._weights), self._zero())
            gradients = torch.autograd.grad(total, self._weights, allow_unused=True)
        with torch.no_grad():
            for weight, gradient in zip(self._weights, gradients, strict=True):
                if gradient is not None:
                    step = gradient * coeff
                    weight.grad = step if weight.grad is None else weight.grad + step
        return total.detach()

    def _zero(self) -> Tensor:
        weight = self._weights[0]
        return torch.zeros((), dtype=weight.dtype, device=weight.device)

    def _of(self, weight: nn.Parameter) -> Tensor:
        found = self._penalty(weight)
        if not isinstance(found, Tensor) or found.ndim:
            shape = tuple(found.shape) if isinstance(found, Tensor) else found
            raise ValueError(
                "The penalty of a weight must be a scalar tensor, but is "
                f"{str(shape)[:40]} for a weight of shape {tuple(weight.shape)}. End "
                "it with .sum()."
            )
        return found
