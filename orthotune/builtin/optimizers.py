"""The optimizers that come with orthotune."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orthotune.config.sections import OptimizerConfig
from orthotune.schema.contracts import Parameters
from orthotune.schema.decorators import optimizer, setting

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
        capturable=lr.is_cuda,
    )


@dataclass(frozen=True, kw_only=True)
class Muon:
    """Momentum made nearly orthonormal, of hidden layers (Jordan et al., 2024)."""

    momentum: float = setting(0.95, low=0, below=1)
    """Decay of the mean of gradients. In [0, 1), default 0.95, torch's."""

    nesterov: bool = setting(True)
    """Nesterov's form of momentum. Default true, torch's."""

    steps: int = setting(5, low=1, high=20)
    """Newton-Schulz iterations. In [1, 20], default 5, torch's."""

    adjust_lr: str = setting("match_rms_adamw", choices=("match_rms_adamw", "original"))
    """The size of a step by the layer's shape `(O, M)`: match_rms_adamw (0.2 times the
    root of the larger, so that one learning rate serves all parameters; Liu et al.,
    2025) or original (the root of max(1, O / M)). Default match_rms_adamw."""

    weight_decay: float = setting(0.0, low=0, high=10)
    """Of all parameters, times the learning rate. In [0, 10]; default 0: the
    regularizer takes its place (torch's is 0.1)."""

    others_lr: float = setting(1.0, above=0, high=100)
    """Learning rate of AdamW, which takes the first and the last layer, biases and
    normalization, in units of `optimizer.lr`. In (0, 100], default 1."""

    beta1: float = setting(0.9, low=0, below=1)
    """AdamW's decay of the mean of gradients. In [0, 1), default 0.9, torch's."""

    beta2: float = setting(0.999, low=0, below=1)
    """AdamW's decay of the mean of their squares. In [0, 1), default 0.999, torch's."""

    eps: float = setting(1e-8, above=0, high=1)
    """Added to the root of the second. In (0, 1], default 1e-8, torch's."""


@optimizer("muon")
def muon(settings: Muon, parameters: Parameters, lr: "Tensor") -> "Optimizer":
    """Muon on the filter banks of hidden layers, AdamW on everything else."""
    from orthotune.nn import muon as made

    hidden = made.hidden_weights(parameters.model)
    return made.Muon(
        hidden,
        [one for one in parameters if one not in hidden],
        lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        steps=settings.steps,
        adjust_lr=settings.adjust_lr,
        others_lr=settings.others_lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
    )


@dataclass(frozen=True, kw_only=True)
class Lars:
    """Rates by the norms of layers, for large batches (You et al., 2017)."""

    momentum: float = setting(0.9, low=0, below=1)
    """What is left of earlier steps. In [0, 1), default 0.9, the authors'."""

    eta: float = setting(1e-3, above=0, high=1)
    """Share of a layer's norm that a step of learning rate 1 moves it by. In (0, 1],
    default 0.001, the authors' trust coefficient: `optimizer.lr` is large then, 1 to
    30."""

    weight_decay: float = setting(0.0, low=0, high=10)
    """Of weights, in the gradient; not of biases and normalization. In [0, 10]; default
    0: the regularizer takes its place (the authors' is 0.0005)."""


@optimizer("lars")
def lars(settings: Lars, parameters: "list[nn.Parameter]", lr: "Tensor") -> "Optimizer":
    """SGD in which every layer steps by a share of its norm."""
    from orthotune.nn.lars import LARS

    return LARS(
        parameters,
        lr,
        momentum=settings.momentum,
        eta=settings.eta,
        weight_decay=settings.weight_decay,
    )
