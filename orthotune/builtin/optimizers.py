"""The optimizers that come with orthotune."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orthotune.config.decorators import optimizer, setting
from orthotune.config.sections import OptimizerConfig

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


@optimizer("sgd", reads=("momentum", "nesterov"))
def sgd(
    settings: OptimizerConfig, parameters: "list[nn.Parameter]", lr: "Tensor"
) -> "Optimizer":
    """Stochastic gradient descent with momentum."""
    from torch.optim import SGD

    return SGD(
        parameters,
        lr=lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        fused=True,
    )


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2019)."""

    beta1: float = setting(0.9, low=0, below=1)
    """Decay of the mean of gradients. In [0, 1), default 0.9, torch's."""

    beta2: float = setting(0.999, low=0, below=1)
    """Decay of the mean of their squares. In [0, 1), default 0.999, torch's."""

    eps: float = setting(1e-8, above=0, high=1)
    """Added to the root of the second. In (0, 1], default 1e-8, torch's."""

    weight_decay: float = setting(0.0, low=0, high=10)
    """Of all parameters, times the learning rate. In [0, 10]; default 0: the
    regularizer takes its place."""


@optimizer("adamw")
def adamw(
    settings: AdamW, parameters: "list[nn.Parameter]", lr: "Tensor"
) -> "Optimizer":
    """AdamW as torch ships it."""
    from torch.optim import AdamW as TorchAdamW

    return TorchAdamW(
        parameters,
        lr=lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
