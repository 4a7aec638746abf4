"""Image files that are read one by one, and checked before anything is trained.

Letters: `N` images, `C` channels, `H`, `W` height and width.
"""

import hashlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from orthotune.errors import DataUnreadableError
from orthotune.readers.framing import framed, is_transparent
from orthotune.readers.settings import FramingConfig

FORMATS = ("JPEG", "MPO", "PNG")
"""Of Pillow's; MPO is a JPEG with further ones behind it, as telephones write."""

END = b"\xff\xd9"
"""The last bytes of a JPEG file."""


class ImageFiles:
    """JPEG and PNG files, read when they are asked for.

    Args:
        root: The folder they are in.
        names: Of the files, below it.
        framing: The size and channels they are brought to.
    """

    def __init__(
        self, root: Path, names: Sequence[str], framing: FramingConfig
    ) -> None:
        self._root, self._names, self._framing = root, tuple(names), framing

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of an image."""
        return self._framing.shape

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> np.ndarray:
        """One image, uint8 `(C, H, W)`.

        Raises:
            DataUnreadableError: If its file is no image that can be read.
        """
        path = self._root / self._names[index]
        return decoded(_content(path), path, self._framing)

    def digest(self) -> str:
        """A hash of the names and contents of all files, each of which is checked.

        Raises:
            DataUnreadableError: If one is no image that can be read.
        """
        digest = hashlib.sha256()
        for name in self._names:
            content = _content(self._root / name)
            check(content, self._root / name)
            digest.update(f"{len(name)} {name} ".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()[:16]


def decoded(content: bytes, path: Path, framing: FramingConfig) -> np.ndarray:
    """An image from a file's content, uint8 `(C, H, W)`.

    Raises:
        DataUnreadableError: If it is none that can be read.
    """
    with warnings.catch_warnings():
        _set_warnings()
        try:
            with Image.open(io.BytesIO(content)) as image:
                _check_kind(image)
                return framed(image, framing)
        except MemoryError:
            raise
        except Exception as err:  # Pillow's, of many kinds
            raise _refusal(content, path, err) from err


def check(content: bytes, path: Path) -> None:
    """Refuse a file that is no whole image, in a tenth of the time of decoding it.

    Raises:
        DataUnreadableError: If it is broken, or of a kind that is not read.
    """
    with warnings.catch_warnings():
        _set_warnings()
        try:
            with Image.open(io.BytesIO(content)) as image:
                _check_kind(image)
                if image.has_transparency_data and is_transparent(image):
                    raise ValueError("is transparent in places")
                if image.format == "PNG":
                    _check_png(content)
                elif not content.rstrip(b"\0\n\r ").endswith(END):
                    image.load()
        except MemoryError:
            raise
        except Exception as err:  # Pillow's, of many kinds
            raise _refusal(content, path, err) from err


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise DataUnreadableError(
            f"`data.root` must hold files that can be read, but {path} cannot "
            f"({err.strerror}). Make it readable, or move it away."
        ) from err


def _set_warnings() -> None:
    """An image that is far too large is refused; odd metadata are nobody's concern."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _check_kind(image: Image.Image) -> None:
    if image.format not in FORMATS:
        raise ValueError(f"is a {image.format} file")
    if image.format == "PNG" and getattr(image, "is_animated", False):
        raise ValueError("is animated")


def _check_png(content: bytes) -> None:
    """All of the file by its checksums."""
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
    if b"IEND" not in content[-64:]:
        raise OSError("truncated")


def _refusal(content: bytes, path: Path, err: Exception) -> DataUnreadableError:
    if not content:
        problem = "is empty"
    elif isinstance(err, ValueError) and str(err).startswith("is "):
        problem = str(err)
    elif isinstance(err, Image.UnidentifiedImageError):
        page = content.lstrip().startswith(b"<")
        problem = "is a web page" if page else "is no image"
    elif isinstance(err, (Image.DecompressionBombError, Warning)):
        problem = f"has more than {Image.MAX_IMAGE_PIXELS} pixels"
    elif "truncated" in str(err).lower():
        problem = "is only a part of an image"
    else:
        problem = f"cannot be decoded ({str(err).splitlines()[0][:100]})"
    return DataUnreadableError(
        f"`data.root` must hold whole and opaque JPEG or PNG images, but {path} "
        f"{problem}. Convert or mend it, or move it away."
    )
