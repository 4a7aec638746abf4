"""A split of a data set: held in memory, or read while training goes on.

Letters: `N` images of a split, `B` batch, `C` channels, `H`, `W` height and width.

Both kinds give the same images in the same order, to the bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from orthotune.data.feed import Feed

FEWEST = 128
"""Images in a batch of large ones."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and their classes, in memory.

    Args:
        images: Tensor `(N, C, H, W)`, uint8 or float32, as stored.
        targets: Tensor `(N,)` of int64 classes.
    """

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, H, W)` of an image."""
        return tuple(self.images.shape[1:])

    def take(self, index: Tensor) -> "Split":
        """The images at `index`, shape `(B,)`."""
        return Split(images=self.images[index], targets=self.targets[index])

    def first(self, num: int | None) -> "Split":
        """The first `num` images, or all for None."""
        return Split(images=self.images[:num], targets=self.targets[:num])

    def to(self, device: torch.device) -> "Split":
        """The same split on a device."""
        return Split(images=self.images.to(device), targets=self.targets.to(device))

    def batches(self, order: Tensor) -> Iterator["Split"]:
        """The images at each row of `order`, shape `(updates, B)`, on the CPU."""
        for index in order.to(self.targets.device):
            yield self.take(index)

    def in_order(self, size: int) -> Iterator["Split"]:
        """All images from first to last, `size` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Split(images=self.images[part], targets=self.targets[part])


@dataclass(frozen=True, kw_only=True)
class StreamedSplit:
    """Images that are read when they are asked for, and their classes.

    Args:
        feed: Reads them.
        rows: Where each image is among the feed's, int64 `(N,)`, on the CPU.
        targets: Tensor `(N,)` of int64 classes, on the CPU.
        device: Where batches go.
    """

    feed: Feed
    rows: Tensor
    targets: Tensor
    device: torch.device

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, H, W)` of an image."""
        return self.feed.shape

    @property
    def images(self) -> Tensor:
        """All of them, read now: for splits of a few."""
        return self._batch(self.feed.read(self.rows), slice(None)).images

    def take(self, index: Tensor) -> Split:
        """The images at `index`, shape `(B,)`, read now."""
        return self._batch(self.feed.read(self.rows[index]), index)

    def first(self, num: int | None) -> "StreamedSplit":
        """The first `num` images, or all for None."""
        return replace(self, rows=self.rows[:num], targets=self.targets[:num])

    def to(self, device: torch.device) -> "StreamedSplit":
        """The same split, its batches on a device."""
        return replace(self, device=device)

    def batches(self, order: Tensor) -> Iterator[Split]:
        """The images at each row of `order`, shape `(updates, B)`, read ahead."""
        yield from self._read_ahead(list(order))

    def in_order(self, size: int) -> Iterator[Split]:
        """All images from first to last, `size` at a time, read ahead."""
        yield from self._read_ahead(list(torch.arange(len(self)).split(size)))

    def _read_ahead(self, order: list[Tensor]) -> Iterator[Split]:
        found = self.feed.batches([self.rows[index] for index in order])
        for index, images in zip(order, found, strict=True):
            yield self._batch(images, index)

    def _batch(self, images: Tensor, index: Tensor | slice) -> Split:
        targets = self.targets[index]
        return Split(images=images.to(self.device), targets=targets.to(self.device))


AnySplit = Split | StreamedSplit


def fitting(num: int, shape: tuple[int, ...]) -> int:
    """How many images of a shape have the values that `num` images of 32x32 have.

    Example:
        >>> [fitting(4096, (3, size, size)) for size in (8, 32, 64, 224)]
        [4096, 4096, 1024, 128]
    """
    fitted = num * 1024 // (shape[1] * shape[2])
    return min(num, max(FEWEST, fitted))
