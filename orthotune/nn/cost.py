"""What a network costs, whatever it has learned."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from orthotune.nn.graph import hooked, unchanged
from orthotune.nn.orthonormality import parametric_layers


def costs(model: nn.Module, images: Tensor) -> dict[str, float]:
    """What is reported of a network's costs; arguments as of `num_macs`."""
    return {
        "num_parameters": float(num_parameters(model)),
        "num_macs": num_macs(model, images),
    }


def num_parameters(model: nn.Module) -> int:
    """Numbers that training may change.

    Example:
        >>> num_parameters(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in model.parameters())


def num_macs(model: nn.Module, images: Tensor) -> float:
    """Multiplications, each with an addition, for one image.

    Those of the parametric layers, every time that one runs, in evaluation: each output
    of a convolution takes as many as one of its filters has weights. Normalization,
    activations, and products of a network's own are not counted. The network runs once,
    and is left as it was.

    Args:
        model: The network.
        images: Some that it takes, of shape `(B, ...)`.

    Example:
        >>> num_macs(nn.Linear(3, 2), torch.zeros(5, 3))
        6.0
    """
    found: list[int] = []

    def count(_name: str) -> Callable[..., None]:
        return lambda layer, inputs, output: found.append(_macs(layer, inputs, output))

    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        layers = parametric_layers(model)
        with hooked(layers, count), unchanged(model), torch.no_grad():
            model(images.to(next(model.parameters()).dtype))
    finally:
        for module in training:
            module.training = True
    return sum(found) / len(images)


def _macs(layer: Any, inputs: tuple[Any, ...], output: Any) -> int:  # noqa: ANN401
    """Those of one run of a layer on a batch; of a kind that nobody knows none."""
    # The first axis of a transposed convolution's weight is of its inputs.
    transposed = isinstance(layer, _ConvTransposeNd)
    across = inputs[0] if transposed and inputs else output
    known = isinstance(across, Tensor)
    return across.numel() * layer.weight[0].numel() if known else 0
