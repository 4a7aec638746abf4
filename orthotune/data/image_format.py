"""What a network knows of the images it was trained on, without the images."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from orthotune.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """Size, classes and normalization of a data set.

    Args:
        shape: Of an image, `(C, H, W)`.
        num_classes: Classes.
        mean: Mean of each channel over the training split, `(C, 1, 1)`.
        std: Standard deviation of each channel, likewise.
    """

    shape: tuple[int, ...]
    num_classes: int
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, dataset: Dataset) -> "ImageFormat":
        """That of a data set."""
        return cls(
            shape=tuple(dataset.val.first(1).images.shape[1:]),
            num_classes=dataset.num_classes,
            mean=dataset.mean,
            std=dataset.std,
        )

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return self.shape[0]

    def state_dict(self) -> dict[str, Any]:
        """It as tensors and plain values."""
        return {**vars(self), "shape": list(self.shape)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ImageFormat":
        """The inverse of `state_dict`."""
        return cls(**{**state, "shape": tuple(state["shape"])})
