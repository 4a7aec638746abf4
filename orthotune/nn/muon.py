r"""Muon: momentum whose matrix of every hidden layer is made nearly orthonormal.

Letters: `L` weights of one shape, `G` groups of a convolution, `O` filters, `M` fan-in.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from orthotune.nn.orthonormality import (
    add_stacked,
    num_groups,
    parametric_layers,
    stacked,
)

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
EPS = 1e-7
"""Of the iteration, as torch has them from Jordan et al."""


def hidden_weights(model: nn.Module) -> dict[nn.Parameter, int]:
    """The weights of hidden layers, each with its number of groups.

    Those of the parametric layers but for the first and the last, in the order in which
    the model holds them; a weight that is computed from others is none.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 2))
        >>> [tuple(weight.shape) for weight in hidden_weights(net)]
        [(4, 4, 3, 3)]
    """
    layers = list(parametric_layers(model).values())
    ends = {layer.weight for layer in (*layers[:1], *layers[-1:])}
    return {
        layer.weight: num_groups(layer)
        for layer in layers
        if isinstance(layer.weight, nn.Parameter) and layer.weight not in ends
    }


def orthogonalized(matrices: Tensor, steps: int) -> Tensor:
    r"""Matrices of the same singular vectors, with singular values near one.

    :math:`X \leftarrow a X + b (X X^\top) X + c (X X^\top)^2 X`, from :math:`X` of
    Frobenius norm one, in bfloat16: the quintic Newton-Schulz iteration of Jordan et
    al. Its singular values end in about [0.7, 1.2], and are not meant to converge.

    Args:
        matrices: Tensor of shape `(L, O, M)`.
        steps: Iterations.

    Returns:
        Tensor of the same shape, in bfloat16.

    Example:
        >>> matrices = torch.tensor([[[3.0, 0.0], [0.0, 2.0]]])
        >>> values = torch.linalg.svdvals(orthogonalized(matrices, steps=5).float())
        >>> bool((values > 0.6).all() and (values < 1.3).all())
        True
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    found = (matrices.mT if tall else matrices).bfloat16()
    found = found / found.norm(dim=(-2, -1), keepdim=True).clamp(min=EPS)
    for _ in range(steps):
        gram = torch.bmm(found, found.mT)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        found = torch.baddbmm(found, polynomial, found, beta=a)
    return found.mT if tall else found


class Muon(Optimizer):
    r"""Muon on the filter banks of hidden layers, and AdamW on all other parameters.

    For the filter bank :math:`W` of a layer, `(O, M)`, with gradient :math:`G`, and
    :math:`\mathrm{orth}` as `orthogonalized`:

    .. math::
        B &\leftarrow \mu B + (1 - \mu) G \\
        U &= \mathrm{orth}(\mu B + (1 - \mu) G)
            \quad \text{(Nesterov's form; else } \mathrm{orth}(B)) \\
        W &\leftarrow (1 - \gamma \lambda) W - \gamma s U

    where :math:`s = 0.2 \sqrt{\max(O, M)}` by `match_rms_adamw`, for steps as large as
    AdamW's, and :math:`s = \sqrt{\max(1, O / M)}` by `original`.

    As `torch.optim.Muon`, but for three things: filter banks of convolutions are
    matrices, too, group by group; those of one shape are iterated together; and a
    learning rate that is a tensor is read on its device, which waits for nothing.

    Args:
        hidden: The weights of hidden layers with their numbers of groups.
        others: All other parameters. Muon's authors leave the first and the last layer,
            biases and normalization to AdamW.
        lr: :math:`\gamma`, a float or a scalar tensor, which is read in every step.
        momentum: :math:`\mu`.
        nesterov: Whether in Nesterov's form.
        weight_decay: :math:`\lambda`, also of `others`.
        steps: Iterations of `orthogonalized`.
        adjust_lr: `match_rms_adamw` or `original`.
        others_lr: AdamW's learning rate, in units of `lr`.
        betas: AdamW's.
        eps: AdamW's.

    Example:
        >>> model = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(3)))
        >>> hidden = hidden_weights(model)
        >>> others = [p for p in model.parameters() if p not in hidden]
        >>> optimizer = Muon(hidden, others, lr=0.01)
        >>> model(torch.eye(4)).square().sum().backward()
        >>> optimizer.step()

    References:
        Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
        https://kellerjordan.github.io/posts/muon/; Liu et al., "Muon is Scalable for
        LLM Training", 2025, https://arxiv.org/abs/2502.16982, for `match_rms_adamw`.
    """

    def __init__(
        self,
        hidden: Mapping[nn.Parameter, int],
        others: Iterable[nn.Parameter],
        lr: float | Tensor,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        steps: int = 5,
        adjust_lr: str = "match_rms_adamw",
        others_lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "steps": steps,
            "adjust_lr": adjust_lr,
            "others_lr": others_lr,
            "betas": betas,
            "eps": eps,
            "fused": True,  # AdamW counts its steps on the device then
        }
        groups = [
            {"params": list(hidden), "num_groups": list(hidden.values())},
            {"params": list(others)},
        ]
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step once; a closure evaluates the loss anew, as in torch."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        hidden, others = self.param_groups
        banks: defaultdict[tuple[int, ...], list[Tensor]] = defaultdict(list)
        for weight, groups in zip(hidden["params"], hidden["num_groups"], strict=True):
            if weight.grad is not None:
                banks[(groups, *weight.shape)].append(weight)
        for (groups, *_), weights in banks.items():
            self._step_bank(weights, groups, hidden)
        self._step_others([p for p in others["params"] if p.grad is not None], others)
        return loss

    def _step_bank(
        self, weights: list[Tensor], groups: int, group: dict[str, Any]
    ) -> None:
        lr, momentum = group["lr"], group["momentum"]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        buffers = [self._moment(weight, "momentum_buffer") for weight in weights]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        if group["nesterov"]:
            directions = torch._foreach_lerp(gradients, buffers, momentum)
        else:
            directions = buffers
        banks = stacked(directions, groups)  # (L G, O / G, M)
        size = _size(banks, group["adjust_lr"])
        moves = orthogonalized(banks, group["steps"]).to(banks.dtype) * (-lr * size)
        torch._foreach_mul_(weights, 1 - lr * group["weight_decay"])
        add_stacked(weights, moves)

    def _step_others(self, params: list[Tensor], group: dict[str, Any]) -> None:
        if not params:
            return
        beta1, beta2 = group["betas"]
        adamw(
            params,
            [p.grad for p in params if p.grad is not None],
            [self._moment(p, "exp_avg") for p in params],
            [self._moment(p, "exp_avg_sq") for p in params],
            [],
            [self._count(p) for p in params],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"] * group["others_lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _moment(self, param: Tensor, name: str) -> Tensor:
        state = self.state[param]
        if name not in state:
            state[name] = torch.zeros_like(param)
        return state[name]

    def _count(self, param: Tensor) -> Tensor:
        state = self.state[param]
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=param.device)
        return state["step"]


def _size(banks: Tensor, adjust_lr: str) -> float:
    """The size of a step beside the learning rate, by the shape of a filter bank."""
    rows, fan_in = banks.shape[-2:]
    if adjust_lr == "original":
        return math.sqrt(max(1, rows / fan_in))
    return 0.2 * math.sqrt(max(rows, fan_in))
