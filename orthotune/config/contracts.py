"""What registered functions are given, and what they give back."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ImageShape:
    """What a network is built for.

    Args:
        channels: Channels of the images.
        height: Their height in pixels.
        width: Their width.
        num_classes: Classes: a network gives logits of shape `(B, num_classes)`.
    """

    channels: int
    height: int
    width: int
    num_classes: int


@dataclass(frozen=True, kw_only=True)
class DataPlace:
    """Where a data set lies.

    Args:
        root: `data.root`: folder of its files, absolute; it need not be there.
        download: `data.download`: whether what is missing may be fetched into it.
    """

    root: Path
    download: bool


class Parameters(list["nn.Parameter"]):
    """The parameters of a network, as an optimizer is given them: a list.

    Args:
        model: The network, for an optimizer that treats its layers differently.

    Example:
        >>> from torch import nn
        >>> len(Parameters(nn.Linear(2, 3)))
        2
    """

    def __init__(self, model: "nn.Module") -> None:
        super().__init__(model.parameters())
        self.model = model


class Regularizer(Protocol):
    """A penalty on a model, whose gradient is added after backward.

    One with a state of its own has `state_dict()` and `load_state_dict(state)` too, of
    tensors and plain values: they are part of a checkpoint.
    """

    def add_gradients(self, coeff: "float | Tensor") -> "Tensor":
        """Add the gradient of `coeff` times the penalty to the weights' gradients.

        Returns:
            The penalty, not times `coeff`; a scalar tensor.
        """
        ...
