"""The penalties on weights that come with orthotune."""

from typing import TYPE_CHECKING

from orthotune.config.decorators import regularizer

if TYPE_CHECKING:
    from torch import nn

    from orthotune.config.contracts import Regularizer


@regularizer("orthonormal")
def orthonormal(model: "nn.Module") -> "Regularizer":
    """The orthonormality penalty of the paper."""
    from orthotune.nn.orthonormality import OrthonormalityRegularizer

    return OrthonormalityRegularizer(model)


@regularizer("l2")
def l2(model: "nn.Module") -> "Regularizer":
    """Weight decay."""
    from orthotune.nn.orthonormality import L2Regularizer

    return L2Regularizer(model)
