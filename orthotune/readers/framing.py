"""An image of any size and mode becomes one of a data set: resized and cropped.

Letters: `C` channels, `H`, `W` height and width.
"""

from typing import Any

import numpy as np
from PIL import Image, ImageOps

from orthotune.readers.settings import FramingConfig

SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Pillow's modes of PNG files with 16 bits a pixel, all of them grey."""


def framed(image: Image.Image, framing: FramingConfig) -> np.ndarray:
    """An image as the network sees it.

    Turned upright as its camera says; grey or RGB; resized with antialiasing (bilinear)
    so that its shorter side is `resize`; its middle. The same bytes on every machine
    with the same Pillow. Of 16 bits a pixel the upper 8 are kept.

    Args:
        image: Of any size.
        framing: What to make of it.

    Returns:
        Array `(C, H, W)`, uint8.

    Raises:
        ValueError: If the image is transparent somewhere.

    Example:
        >>> image = Image.new("RGB", (200, 100), (10, 20, 30))
        >>> found = framed(image, FramingConfig(size=8))
        >>> found.shape, found[:, 0, 0].tolist()
        ((3, 8, 8), [10, 20, 30])
    """
    image = _mode(_upright(image), "L" if framing.channels == 1 else "RGB")
    shorter, size = framing.resize or framing.size, framing.size
    width, height = image.size
    if width <= height:
        width, height = shorter, int(shorter * height / width)
    else:
        width, height = int(shorter * width / height), shorter
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    image = image.crop((left, top, left + size, top + size))
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def is_transparent(image: Image.Image) -> bool:
    """Whether an image lets something through anywhere."""
    if not image.has_transparency_data:
        return False
    lowest: Any = image.convert("RGBA").getchannel("A").getextrema()[0]
    return lowest < 255


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of many kinds: a camera's notes, not the image, are broken
        return image


def _mode(image: Image.Image, mode: str) -> Image.Image:
    if is_transparent(image):
        raise ValueError("is transparent in places")
    if image.mode in SIXTEEN_BITS:
        pixels = np.asarray(image).astype(np.uint32) >> 8
        image = Image.fromarray(pixels.astype(np.uint8))
    elif image.mode == "P":  # whose colours may be more than grey
        image = image.convert("RGB")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)
