"""A trained network as others use it: raw images in, logits out."""

from typing import Any

from torch import Tensor, nn

from orthotune.config.trial import TrialConfig
from orthotune.data.datasets import load_dataset
from orthotune.data.image_format import ImageFormat
from orthotune.training.checkpoint import check_same, config_of
from orthotune.training.loop import IMAGES
from orthotune.training.networks import build_network
from orthotune.training.streams import Streams


class Classifier(nn.Module):
    """A network together with the normalization it was trained with.

    Args:
        network: The network.
        images: The format of its images.
        config: What it was trained by.

    Attributes:
        config: As given.
        image_shape: Of an image of its data set, `(C, H, W)`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, images: ImageFormat, config: TrialConfig
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        shape = images.shape
        self.image_shape = (shape.channels, shape.height, shape.width)
        self.register_buffer("mean", images.mean.clone())
        self.register_buffer("std", images.std.clone())

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(B, classes)` of images `(B, C, H, W)` as the data set has them."""
        return self.network((images - self.mean) / self.std)


def trained_classifier(state: dict[str, Any]) -> Classifier:
    """The network of a trial's checkpoint, on the CPU, in evaluation mode.

    Args:
        state: What `Trial.state_dict` gave. One of a version that kept nothing of the
            images needs the data set.

    Raises:
        CheckpointError: If the state is not of this version of orthotune, or of the
            registered sources.
        DataError: If the data set is needed, and cannot be loaded.

    Example:
        >>> import torch
        >>> from orthotune.training.loop import Trial
        >>> fields = {"model.depth": 8, "data.num_train": 64, "data.batch_size": 32}
        >>> trial = Trial(TrialConfig.from_dict(fields))
        >>> classifier = trained_classifier(trial.state_dict())
        >>> classifier(torch.zeros(2, *classifier.image_shape)).shape
        torch.Size([2, 10])
    """
    config = config_of(state)
    images = _images(state, config)
    check_same(config, state)
    network = build_network(config, images.shape, Streams(config.seed))
    network.load_state_dict(state["model"])
    return Classifier(network, images, config).cpu().eval()


def _images(state: dict[str, Any], config: TrialConfig) -> ImageFormat:
    if IMAGES in state:
        return ImageFormat.from_state(state[IMAGES])
    return ImageFormat.of(load_dataset(config.data))
