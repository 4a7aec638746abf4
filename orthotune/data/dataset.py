"""A data set in memory, split by a fixed seed.

Letters: `N` images of a split, `B` batch, `C` channels, `H`, `W` height and width.

Every data set has three splits. Search and ablation look at validation only; the test
split is for a configuration already chosen. The split is a property of the data set,
not of the trial: it does not depend on the trial's seed.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor

from orthotune.config.contracts import ImageShape

SPLIT_SEED = 1703_01827
HELD_OUT = 300  # images each of validation and test where there is no official test
VAL_FRAC = 0.1  # of a data set with an official test split: 5,000 of CIFAR's 50,000


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and their classes.

    Args:
        images: Tensor `(N, C, H, W)`, uint8 or float32, as stored.
        targets: Tensor `(N,)` of int64 classes.
    """

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: Tensor) -> "Split":
        """The images at `index`, shape `(B,)`."""
        return Split(images=self.images[index], targets=self.targets[index])

    def first(self, num: int | None) -> "Split":
        """The first `num` images, or all for None."""
        return Split(images=self.images[:num], targets=self.targets[:num])

    def to(self, device: torch.device) -> "Split":
        """The same split on a device."""
        return Split(images=self.images.to(device), targets=self.targets.to(device))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set in three splits, with what is needed to normalize and augment it.

    Args:
        train: Training split, in a random but fixed order.
        val: Validation split.
        test: Test split.
        num_classes: Classes.
        mean: Mean of each channel over the training split, `(C, 1, 1)`.
        std: Standard deviation of each channel, likewise.
        flips: Whether a mirror image keeps its class.
    """

    train: Split
    val: Split
    test: Split
    num_classes: int
    mean: Tensor
    std: Tensor
    flips: bool

    @property
    def shape(self) -> ImageShape:
        """What a network for it is built for."""
        channels, height, width = self.train.images.shape[1:]
        return ImageShape(
            channels=channels,
            height=height,
            width=width,
            num_classes=self.num_classes,
        )

    def to(self, device: torch.device) -> "Dataset":
        """The same data set with every tensor on a device."""
        return replace(
            self,
            train=self.train.to(device),
            val=self.val.to(device),
            test=self.test.to(device),
            mean=self.mean.to(device),
            std=self.std.to(device),
        )

    def normalize(self, images: Tensor) -> Tensor:
        """Images `(B, C, H, W)` as float32 of mean 0 and variance 1, channels last."""
        images = (images.float() - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Images as they come: one array with or without an official test part.

    Args:
        images: Array `(N, C, H, W)`.
        targets: Array `(N,)` of classes.
        test_images: Of the official test part, if there is one.
        test_targets: Of it.
        num_classes: Classes.
        flips: Whether a mirror image keeps its class.
    """

    images: np.ndarray  # (N, C, H, W)
    targets: np.ndarray  # (N,)
    test_images: np.ndarray | None = None
    test_targets: np.ndarray | None = None
    num_classes: int
    flips: bool


def split_source(source: Source) -> Dataset:
    """A data set of images as they come: shuffled by its own seed, and split."""
    whole = _as_split(source.images, source.targets)
    order = torch.randperm(len(whole), generator=Generator().manual_seed(SPLIT_SEED))
    if source.test_images is None or source.test_targets is None:
        num_val = num_test = HELD_OUT
        official = None
    else:
        num_val, num_test = round(len(whole) * VAL_FRAC), 0
        official = _as_split(source.test_images, source.test_targets)
    sizes = [len(whole) - num_val - num_test, num_val, num_test]
    train, val, held_out = (whole.take(index) for index in order.split(sizes))
    test = held_out if official is None else official
    mean, std = _channel_moments(train.images)
    return Dataset(
        train=train,
        val=val,
        test=test,
        num_classes=source.num_classes,
        mean=mean,
        std=std,
        flips=source.flips,
    )


def _as_split(images: np.ndarray, targets: np.ndarray) -> Split:
    return Split(
        images=torch.from_numpy(np.ascontiguousarray(images)),
        targets=torch.from_numpy(targets.astype(np.int64)),
    )


def _channel_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, `(C, 1, 1)`, in float64 a chunk at a time."""
    total = torch.zeros(images.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    for chunk in images.split(4096):
        values = chunk.double()
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    count = images.numel() / images.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(1e-12).sqrt()
    return mean.float()[:, None, None], std.float()[:, None, None]
