"""Small images in class folders, and what is said of broken ones."""

import io

import numpy as np
import pytest
from PIL import Image

from orthotune.errors import DataUnreadableError


def picture(number=0, size=(12, 10), mode="RGB"):
    """An image of random pixels, as Pillow has it."""
    rng = np.random.default_rng(number)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def content_of(image, kind="PNG", **how):
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def write_classes(root, names=("ant", "bee"), num=6, suffix=".png", size=(12, 10)):
    """Write so many images a class; every image is another."""
    for place, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(num):
            file = root / name / f"{number:03}{suffix}"
            picture(1000 * place + number, size).save(file)


def refused(read):
    """What is said when the call refuses its data: one short line."""
    with pytest.raises(DataUnreadableError) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) <= 400
    return message
