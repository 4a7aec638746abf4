"""A data set, split by a fixed seed.

Letters: `N` images of a split, `B` batch, `C` channels, `H`, `W` height and width.

Every data set has three splits. Search and ablation look at validation only; the test
split is for a configuration already chosen. The split is a property of the data set,
not of the trial: it does not depend on the trial's seed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor

from orthotune.config.contracts import ImageShape
from orthotune.data.feed import Feed, LazyImages
from orthotune.data.splits import AnySplit, Split, StreamedSplit

SPLIT_SEED = 1703_01827
HELD_OUT = 300  # images each of validation and test where no part of the data is either
VAL_FRAC = 0.1  # of a data set with an official test split: 5,000 of CIFAR's 50,000

SAMPLED = 1024
"""Training images, the first, of which statistics are taken where they are read from
files one by one."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set in three splits, with what is needed to normalize and augment it.

    Args:
        train: Training split, in a random but fixed order.
        val: Validation split.
        test: Test split.
        num_classes: Classes.
        mean: Mean of each channel over the training split, `(C, 1, 1)`; over its first
            `SAMPLED` images where they are read one by one.
        std: Standard deviation of each channel, likewise.
        flips: Whether a mirror image keeps its class.
        digest: The hash of the files it is read from, where they are checked and hashed
            as such; None if the images themselves are to be.
    """

    train: AnySplit
    val: AnySplit
    test: AnySplit
    num_classes: int
    mean: Tensor
    std: Tensor
    flips: bool
    digest: Callable[[], str] | None = None

    @property
    def shape(self) -> ImageShape:
        """What a network for it is built for."""
        channels, height, width = self.train.shape
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

    def with_workers(self, workers: int) -> "Dataset":
        """The same data set; if it is read while it is used, by so many processes."""
        train, val, test = self.train, self.val, self.test
        if (
            isinstance(train, Split)
            or isinstance(val, Split)
            or isinstance(test, Split)
        ):
            return self
        feed = train.feed.with_workers(workers)
        return replace(
            self,
            train=replace(train, feed=feed),
            val=replace(val, feed=feed),
            test=replace(test, feed=feed),
        )

    def normalize(self, images: Tensor) -> Tensor:
        """Images `(B, C, H, W)` as float32 of mean 0 and variance 1, channels last."""
        images = (images.float() - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Images as they come, in memory: a part to train with, others if there are any.

    Args:
        images: Array `(N, C, H, W)`, uint8 or float32.
        targets: Array `(N,)` of classes.
        val_images: Of the part for validation, if there is one.
        val_targets: Of it.
        test_images: Of the official test part, if there is one.
        test_targets: Of it.
        num_classes: Classes.
        flips: Whether a mirror image keeps its class.
    """

    images: np.ndarray  # (N, C, H, W)
    targets: np.ndarray  # (N,)
    val_images: np.ndarray | None = None
    val_targets: np.ndarray | None = None
    test_images: np.ndarray | None = None
    test_targets: np.ndarray | None = None
    num_classes: int
    flips: bool


@dataclass(frozen=True, kw_only=True)
class LazySource:
    """Images that are read one by one, from files.

    Args:
        images: Reads them; all parts together.
        targets: Array `(N,)` of classes.
        parts: Array `(N,)`: 0 for images to train with, 1 for those to validate with, 2
            for those of the official test part.
        num_classes: Classes.
        flips: Whether a mirror image keeps its class.
        digest: As in `Dataset`.
    """

    images: LazyImages
    targets: np.ndarray  # (N,)
    parts: np.ndarray  # (N,)
    num_classes: int
    flips: bool
    digest: Callable[[], str] | None = None


def split_source(source: Source | LazySource, room_bytes: float = math.inf) -> Dataset:
    """A data set of images as they come: shuffled by its own seed, and split.

    Args:
        source: The images.
        room_bytes: The most that images read one by one may take to be held in memory.
    """
    if isinstance(source, LazySource):
        return _split_lazy(source, room_bytes)
    whole = _as_split(source.images, source.targets)
    val = _official(source.val_images, source.val_targets)
    test = _official(source.test_images, source.test_targets)
    rows = _shuffled(len(whole), val is not None, test is not None)
    train, val_rows, test_rows = (whole.take(index) for index in rows)
    mean, std = _channel_moments(train.images)
    return Dataset(
        train=train,
        val=val_rows if val is None else val,
        test=test_rows if test is None else test,
        num_classes=source.num_classes,
        mean=mean,
        std=std,
        flips=source.flips,
    )


def _split_lazy(source: LazySource, room_bytes: float) -> Dataset:
    parts, targets = torch.from_numpy(source.parts), torch.from_numpy(source.targets)
    train, val, test = (torch.nonzero(parts == number)[:, 0] for number in range(3))
    shuffled = [train[i] for i in _shuffled(len(train), len(val) > 0, len(test) > 0)]
    rows = [shuffled[0], torch.cat([shuffled[1], val]), torch.cat([shuffled[2], test])]
    feed, cpu = Feed(source.images, workers=0), torch.device("cpu")
    splits: list[AnySplit] = [
        StreamedSplit(feed=feed, rows=index, targets=targets[index], device=cpu)
        for index in rows
    ]
    mean, std = _channel_moments(splits[0].first(SAMPLED).images)
    if len(parts) * math.prod(feed.shape) <= room_bytes:
        splits = [Split(images=one.images, targets=one.targets) for one in splits]
    return Dataset(
        train=splits[0],
        val=splits[1],
        test=splits[2],
        num_classes=source.num_classes,
        mean=mean,
        std=std,
        flips=source.flips,
        digest=source.digest,
    )


def _shuffled(num: int, has_val: bool, has_test: bool) -> Sequence[Tensor]:
    """Which of the images to train with are trained, validated and tested with.

    Where there is no test part the two held-out parts are of `HELD_OUT` images, or a
    tenth of many, or a fifth of few.
    """
    order = torch.randperm(num, generator=Generator().manual_seed(SPLIT_SEED))
    share = max(1, round(num * VAL_FRAC))
    held_out = share if has_test else min(max(HELD_OUT, share), max(1, num // 5))
    num_val, num_test = (0 if has_val else held_out), (0 if has_test else held_out)
    return order.split([num - num_val - num_test, num_val, num_test])


def _official(images: np.ndarray | None, targets: np.ndarray | None) -> Split | None:
    return None if images is None or targets is None else _as_split(images, targets)


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
