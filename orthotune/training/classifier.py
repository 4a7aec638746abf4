"""A trained network as others use it: raw images in, logits out."""

from typing import Any

import torch
from torch import Tensor, nn

from orthotune.config.trial import TrialConfig
from orthotune.training.loop import Trial


class Classifier(nn.Module):
    """A network together with the normalization it was trained with.

    Args:
        network: The network.
        mean: Mean of each channel over the training split, `(C, 1, 1)`.
        std: Standard deviation of each channel, likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(B, classes)` of images `(B, C, H, W)` as the data set has them."""
        return self.network((images - self.mean) / self.std)


def trained_classifier(state: dict[str, Any]) -> tuple[Classifier, Tensor]:
    """The network of a trial's checkpoint, on the CPU, in evaluation mode.

    Args:
        state: What `Trial.state_dict` gave.

    Returns:
        The classifier, and two of the images it was validated with, float32.

    Raises:
        CheckpointError: If the state is not of this version of orthotune.
        DataError: If the data set cannot be loaded.

    Example:
        >>> fields = {"model.depth": 8, "data.num_train": 64, "data.batch_size": 32}
        >>> trial = Trial(TrialConfig.from_dict(fields))
        >>> classifier, images = trained_classifier(trial.state_dict())
        >>> classifier(images).shape
        torch.Size([2, 10])
    """
    # Not compiled: this machine may have no compiler, and a checkpoint is of either.
    state = {**state, "config": {**state["config"], "training.compile": False}}
    trial = Trial(TrialConfig.from_dict(state["config"]))
    trial.load_state_dict(state)
    data = trial.dataset
    network = trial.model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    classifier = Classifier(network, data.mean, data.std)
    return classifier.eval(), data.val.first(2).images.float()
