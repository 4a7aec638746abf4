"""Layer-wise adaptive rates: SGD in which every layer steps by a share of its norm."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    r"""Layer-wise adaptive rate scaling.

    For a weight :math:`w` with gradient :math:`g`, learning rate :math:`\gamma` and
    momentum :math:`m`:

    .. math::
        \lambda &= \eta \, \frac{\lVert w \rVert}
            {\lVert g \rVert + \beta \lVert w \rVert} \\
        v &\leftarrow m v + \gamma \lambda (g + \beta w) \\
        w &\leftarrow w - v

    The rate is in the buffer, as in the paper: a new one acts on new gradients only.
    :math:`\lambda = 1` where one of the norms is zero, as no ratio is defined there.
    Parameters of rank 0 and 1 (biases, normalization) take :math:`\lambda = 1` and
    :math:`\beta = 0`: they step as in SGD, which the paper leaves open.

    Args:
        params: As for every optimizer of torch.
        lr: :math:`\gamma`, a float or a scalar tensor, which is read in every step.
        momentum: :math:`m`.
        eta: :math:`\eta`, the trust in a layer's norm.
        weight_decay: :math:`\beta`.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))
        >>> weight.grad = torch.tensor([[0.0, 2.0]])
        >>> LARS([weight], lr=1.0, eta=0.1).step()  # by 0.1 * 5
        >>> weight.tolist()
        [[3.0, 3.5]]

    References:
        You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks",
        2017, https://arxiv.org/abs/1708.03888, Eq. 6 and Algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float | Tensor,
        *,
        momentum: float = 0.9,
        eta: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "eta": eta,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step once; a closure evaluates the loss anew, as in torch."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            layers = [p for p in params if p.ndim > 1]
            others = [p for p in params if p.ndim <= 1]
            if layers:
                decay, eta = group["weight_decay"], group["eta"]
                gradients = [p.grad for p in layers]
                factors = _trust(layers, gradients, eta, decay) * group["lr"]
                steps = torch._foreach_add(gradients, layers, alpha=decay)
                torch._foreach_mul_(steps, factors.to(layers[0].dtype).unbind())
                self._move(layers, steps, group["momentum"])
            if others:
                steps = torch._foreach_mul([p.grad for p in others], group["lr"])
                self._move(others, steps, group["momentum"])
        return loss

    def _move(
        self, params: list[Tensor], steps: Iterable[Tensor], momentum: float
    ) -> None:
        """Take the steps together with what is left of earlier ones."""
        buffers = [self._buffer(p) for p in params]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, list(steps))
        torch._foreach_sub_(params, buffers)

    def _buffer(self, param: Tensor) -> Tensor:
        state = self.state[param]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(param)
        return state["momentum_buffer"]


def _trust(
    weights: list[Tensor], gradients: list[Tensor], eta: float, decay: float
) -> Tensor:
    """The factor of every weight's rate, shape `(L,)`."""
    of_weights = torch.stack(torch._foreach_norm(weights))
    of_gradients = torch.stack(torch._foreach_norm(gradients))
    defined = (of_weights > 0) & (of_gradients > 0)
    below = torch.where(defined, of_gradients + decay * of_weights, 1.0)
    return torch.where(defined, eta * of_weights / below, 1.0)
