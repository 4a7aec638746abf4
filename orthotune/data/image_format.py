"""What a network knows of the images it was trained on, without the images."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from orthotune.config.contracts import ImageShape
from orthotune.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """Size, classes and normalization of a data set.

    Args:
        shape: Size and classes.
        mean: Mean of each channel over the training split, `(C, 1, 1)`.
        std: Standard deviation of each channel, likewise.
    """

    shape: ImageShape
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, dataset: Dataset) -> "ImageFormat":
        """That of a data set."""
        return cls(shape=dataset.shape, mean=dataset.mean, std=dataset.std)

    def state_dict(self) -> dict[str, Any]:
        """It as tensors and plain values."""
        return {"shape": asdict(self.shape), "mean": self.mean, "std": self.std}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ImageFormat":
        """The inverse of `state_dict`."""
        return cls(**{**state, "shape": ImageShape(**state["shape"])})
