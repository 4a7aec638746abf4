"""Images that another library's data set gives item by item.

Letters: `N` images of a part.
"""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from orthotune.data.dataset import LazySource
from orthotune.errors import DataUnreadableError
from orthotune.readers.framing import framed
from orthotune.readers.settings import FramingConfig

Items = Any
"""What has a length and gives item after item, a mapping or a tuple each."""


class ItemImages:
    """The images of such data sets, one behind the other.

    Args:
        name: What to call them.
        parts: The data sets.
        field: What of an item is the image.
        framing: The size and channels that images are brought to.
    """

    def __init__(
        self,
        name: str,
        parts: Sequence[Items],
        field: int | str,
        framing: FramingConfig,
    ) -> None:
        self._name, self._field, self._framing = name, field, framing
        self._parts = list(parts)
        self._ends = list(itertools.accumulate(map(len, parts)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of an image."""
        return self._framing.shape

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, index: int) -> np.ndarray:
        """One image, uint8 `(C, H, W)`.

        Raises:
            DataUnreadableError: If it is none that can be read.
        """
        number = bisect.bisect_right(self._ends, index)
        row = index - ([0, *self._ends][number])
        try:
            image = self._parts[number][row][self._field]
            if not isinstance(image, Image.Image):
                raise TypeError(f"it is a {type(image).__name__}")
            return framed(image, self._framing)
        except MemoryError:
            raise
        except Exception as err:  # of a library, a file or Pillow: no common base
            raise DataUnreadableError(
                f"`data.root` must hold images of {self._name}, but image {row} of its "
                f"part {number + 1} cannot be read ({first_line(err)}). Mend it, or "
                "fetch the data set again."
            ) from err


def item_source(
    name: str,
    parts: Mapping[int, Items],
    targets: Mapping[int, Sequence[int]],
    field: int | str,
    framing: FramingConfig,
) -> LazySource:
    """The source of such data sets.

    Args:
        name: What to call them.
        parts: Those to train (0), to validate (1) and to test with (2).
        targets: The class of every image, part by part.
        field: What of an item is the image.
        framing: The size and channels that images are brought to.

    Raises:
        DataUnreadableError: If the classes are not integers from 0.
    """
    labels = [np.asarray(targets[code]) for code in parts]
    for code, found in zip(parts, labels, strict=True):
        whole = found.dtype.kind in "iu" and found.shape == (len(parts[code]),)
        if not whole or not len(found) or found.min() < 0:
            raise DataUnreadableError(
                f"`data.root` must hold images of {name} with an integer from 0 each, "
                f"but its part {code + 1} of {len(parts[code])} images has other "
                "labels. Choose a data set for classification."
            )
    whole = np.concatenate(labels).astype(np.int64)
    if len(np.unique(labels[0])) < 2:
        raise DataUnreadableError(
            f"`data.root` must hold images of {name} of two or more classes, but all "
            f"are of class {whole[0]}. Choose another data set."
        )
    return LazySource(
        images=ItemImages(name, list(parts.values()), field, framing),
        targets=whole,
        parts=np.repeat(list(parts), [len(found) for found in labels]),
        num_classes=int(whole.max()) + 1,
        flips=framing.flips,
    )


def first_line(err: Exception) -> str:
    """What an error says, in one line of a few words."""
    return (str(err) or type(err).__name__).splitlines()[0].rstrip(".")[:180]
