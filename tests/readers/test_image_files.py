import functools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from orthotune.readers.image_files import ImageFiles
from orthotune.readers.settings import FramingConfig
from tests.data.small_images import content_of, picture, refused

FRAMING = FramingConfig(size=8)
PNG, JPEG = content_of(picture()), content_of(picture(size=(60, 40)), "JPEG")
TRANSPARENT = Image.new("RGBA", (9, 9), (1, 2, 3, 128))
PALETTE = Image.new("P", (9, 9))

BROKEN = {  # a file's content, and what is said of it
    "nothing": (b"", "is empty"),
    "a login page": (b"<html>login</html>", "is a web page"),
    "text": (b"once upon a time", "is no image"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "is only a part of an image"),
    "a JPEG without its end": (JPEG[:-2], "is only a part of an image"),
    "a JPEG's head": (JPEG[:700], "is only a part of an image"),
    "half a PNG": (PNG[: len(PNG) // 2], "is only a part of an image"),
    "a transparent PNG": (content_of(TRANSPARENT), "is transparent in places"),
    "a transparent colour": (
        content_of(PALETTE, transparency=0),
        "is transparent in places",
    ),
    "an animation": (
        content_of(picture(), save_all=True, append_images=[picture(1)]),
        "is animated",
    ),
    "a GIF": (content_of(picture(), "GIF"), "is a GIF file"),
    "a WebP": (content_of(picture(), "WEBP"), "is a WEBP file"),
    "a TIFF": (content_of(picture(), "TIFF"), "is a TIFF file"),
}
FINE = {
    "PNG": PNG,
    "JPEG": JPEG,
    "a JPEG with something behind it": JPEG + b"thumbnail",
    "a progressive JPEG": content_of(picture(), "JPEG", progressive=True),
    "grey": content_of(picture(mode="L")),
    "black and white": content_of(picture(mode="L").convert("1")),
    "a palette": content_of(PALETTE),
    "opaque": content_of(picture().convert("RGBA")),
    "CMYK": content_of(picture().convert("CMYK"), "JPEG"),
    "16 bits": content_of(Image.fromarray(np.full((9, 9), 40000, dtype=np.uint16))),
    "a telephone's": content_of(
        picture(), "MPO", save_all=True, append_images=[picture(1)]
    ),
}


def files(tmp_path, content, name="image.png"):
    (tmp_path / name).write_bytes(content)
    return ImageFiles(tmp_path, [name], FRAMING)


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("how", ["read", "check"])
def test_a_broken_file_is_named_with_what_is_wrong(what, how, tmp_path):
    content, problem = BROKEN[what]
    images = files(tmp_path, content)
    message = refused(images.digest if how == "check" else lambda: images.read(0))
    assert message == (
        "`data.root` must hold whole and opaque JPEG or PNG images, but "
        f"{tmp_path}/image.png {problem}. Convert or mend it, or move it away."
    )


def test_a_changed_byte_in_a_png_is_found(tmp_path):
    changed = bytearray(PNG)
    changed[PNG.index(b"IDAT") + 10] ^= 1
    message = refused(files(tmp_path, changed).digest)
    assert f"but {tmp_path}/image.png cannot be decoded (broken PNG file" in message


@pytest.mark.parametrize("what", FINE)
def test_whole_images_of_all_kinds_are_read(what, tmp_path):
    images = files(tmp_path, FINE[what])
    assert images.read(0).shape == images.shape == (3, 8, 8)
    assert images.read(0).dtype == np.uint8
    assert len(images.digest()) == 16


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for num in (11, 30):  # of which Pillow warns, and which it refuses
        images = files(tmp_path, content_of(Image.new("RGB", (num, num))))
        for read in (functools.partial(images.read, 0), images.digest):
            assert "has more than 100 pixels" in refused(read)


def test_a_file_that_is_gone_or_no_file_is_named(tmp_path):
    images = ImageFiles(tmp_path, ["lost.png", "folder.png"], FRAMING)
    (tmp_path / "folder.png").mkdir()
    problems = "lost.png cannot (No such file or", "folder.png cannot (Is a directory)"
    for number, problem in enumerate(problems):
        message = refused(functools.partial(images.read, number))
        assert f"but {tmp_path}/{problem}" in message


def test_the_hash_is_of_names_and_contents_and_not_of_the_frame(tmp_path):
    for name, number in (("a.png", 0), ("b.png", 1)):
        (tmp_path / name).write_bytes(content_of(picture(number)))
    both = ImageFiles(tmp_path, ["a.png", "b.png"], FRAMING)
    before = both.digest()
    larger = ImageFiles(tmp_path, ["a.png", "b.png"], replace(FRAMING, size=16))
    assert larger.digest() == before
    assert ImageFiles(tmp_path, ["b.png", "a.png"], FRAMING).digest() != before
    (tmp_path / "c.png").write_bytes((tmp_path / "b.png").read_bytes())
    assert ImageFiles(tmp_path, ["a.png", "c.png"], FRAMING).digest() != before
    (tmp_path / "b.png").write_bytes(content_of(picture(2)))
    assert both.digest() != before
