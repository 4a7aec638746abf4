"""Reads images ahead of who trains, in processes of its own.

What is read are bytes, the same in whatever process: what is drawn at random is drawn
by who trains. So a trial's numbers do not depend on how many processes read, and a
checkpoint between two epochs holds nothing of them.
"""

import contextlib
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from orthotune.errors import DataError, DataUnreadableError

AHEAD = 4
"""Batches that a process has read or reads while none is asked for."""


class LazyImages(Protocol):
    """Images that are read from files when they are asked for, uint8.

    Args:
        shape: `(C, H, W)` of each.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of an image."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> np.ndarray:
        """One of them, uint8 `(C, H, W)`.

        Raises:
            DataUnreadableError: If it cannot be read.
        """
        ...


class Feed:
    """The images of a data set, read by this process or ahead of it by others.

    Those others start with the first `batches`, and end with the feed; should this
    process be killed, they end within seconds.

    Args:
        images: What to read.
        workers: Processes that read; 0 for none but this one.

    Example:
        >>> class Grey:
        ...     shape = (1, 2, 2)
        ...
        ...     def __len__(self):
        ...         return 9
        ...
        ...     def read(self, index):
        ...         return np.full(self.shape, index, dtype=np.uint8)
        >>> feed = Feed(Grey(), workers=0)
        >>> [batch[:, 0, 0, 0].tolist() for batch in feed.batches([[3, 1], [4]])]
        [[3, 1], [4]]
    """

    def __init__(self, images: LazyImages, workers: int) -> None:
        self.lazy = images
        self._order = _Order()
        self._loader = DataLoader(
            _Batches(images),
            batch_sampler=self._order,
            num_workers=workers,
            collate_fn=_as_it_is,
            prefetch_factor=AHEAD if workers else None,
            persistent_workers=workers > 0,
            # A fork would share the locks and sockets of Ray, and of torch's threads.
            multiprocessing_context="spawn" if workers else None,
            generator=torch.Generator(),  # not the global one
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, H, W)` of an image."""
        return self.lazy.shape

    def with_workers(self, workers: int) -> "Feed":
        """Another feed of the same images."""
        return Feed(self.lazy, workers)

    def read(self, rows: Tensor) -> Tensor:
        """The images at `rows`, shape `(B,)`, read now by this process; uint8."""
        images = np.empty((len(rows), *self.shape), dtype=np.uint8)
        for place, row in enumerate(rows.tolist()):
            images[place] = self.lazy.read(row)
        return torch.from_numpy(images)

    def batches(self, order: Sequence[Tensor | list[int]]) -> Iterator[Tensor]:
        """Batches of images in an order, each a uint8 tensor `(B, C, H, W)`.

        Args:
            order: Where the images of each batch are.

        Raises:
            DataUnreadableError: If one cannot be read.
        """
        self._order.batches = [torch.as_tensor(rows).tolist() for rows in order]
        with _no_main():
            found = iter(self._loader)
        for images in found:
            if isinstance(images, str):
                raise DataUnreadableError(images)
            yield torch.from_numpy(images)


class _Order:
    """The batches that are asked for next."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Batches(Dataset[Any]):
    """What a `DataLoader` reads: whole batches, as arrays.

    Arrays go through pipes: tensors would go through shared memory, of which a
    container has 64 MB.
    """

    def __init__(self, images: LazyImages) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._images.read(index)

    def __getitems__(self, rows: list[int]) -> np.ndarray | str:
        """A batch, or what is wrong with one of its images."""
        try:
            return np.stack([self._images.read(row) for row in rows])
        except DataError as err:  # as an error it would arrive with a traceback
            return str(err)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - what `__getitems__` gave
    return batch


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Start processes without what this one was started with.

    They would import it again, a whole Ray in a worker of Ray's; and a script that does
    not guard its last lines would run there from the start.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
