"""Files in MNIST's format: a header, and then bytes; compressed or not.

Letters: `N` images, `H`, `W` height and width.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

LABELS, IMAGES = "labels-idx1", "images-idx3"
"""In the names of files in MNIST's format."""

NAMES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in (IMAGES, LABELS)
)
"""Of the four files of a data set."""

UBYTE = 8
"""In their headers: what follows are bytes."""

PACKED = b"\x1f\x8b"
"""How a gzip file begins, whatever its name."""


def read_idx(path: Path) -> np.ndarray:
    """The images or labels of a file.

    Args:
        path: Of the file; its name says which of the two it holds.

    Returns:
        Images `(N, H, W)` or labels `(N,)`, uint8.

    Raises:
        ValueError: If it is not whole; what is wrong with it, the rest of a sentence.
        OSError: If it cannot be read.
    """
    content = path.read_bytes()
    if content.startswith(PACKED):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as err:
            raise ValueError("is a broken archive, or a part of one") from err
    num_dims = 1 if LABELS in path.name else 3
    start = 4 + 4 * num_dims
    if len(content) < start or content[:4] != bytes((0, 0, UBYTE, num_dims)):
        raise ValueError("is no file in MNIST's format")
    shape = struct.unpack_from(f">{num_dims}I", content, 4)
    whole = start + math.prod(shape)
    if len(content) != whole:
        raise ValueError(f"has {len(content)} bytes in place of {whole}")
    values = np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
    if num_dims == 1 and values.max(initial=0) >= 10:
        largest = values.max()
        raise ValueError(f"holds the label {largest} of 10 classes from 0")
    return values.copy()  # or it could not be written to
