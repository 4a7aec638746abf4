import numpy as np
import pytest
from PIL import Image

from orthotune.errors import ConfigError
from orthotune.readers.framing import framed
from orthotune.readers.settings import FramingConfig
from tests.data.small_images import picture


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("resize", [None, 21])
@pytest.mark.parametrize(
    "size", [(16, 16), (40, 25), (25, 40), (17, 16), (9, 30), (101, 99), (30, 9)]
)
def test_images_are_framed_as_torchvision_frames_them(size, resize, mode):
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    image = picture(size=size, mode=mode)
    resized = functional.resize(image, [resize or 16], antialias=True)
    theirs = functional.pil_to_tensor(functional.center_crop(resized, [16, 16]))
    framing = FramingConfig(size=16, resize=resize, channels=len(mode))
    assert np.array_equal(framed(image, framing), theirs.numpy())


def test_grey_images_become_three_equal_channels_and_colours_become_grey():
    grey = picture(size=(8, 8), mode="L")
    pixels = framed(grey, FramingConfig(size=8))
    assert all(np.array_equal(channel, np.asarray(grey)) for channel in pixels)
    colour = Image.new("RGB", (8, 8), (255, 0, 0))
    assert framed(colour, FramingConfig(size=8, channels=1)).tolist() == [
        [[76] * 8] * 8
    ]


def test_of_sixteen_bits_the_upper_eight_are_kept():
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    found = framed(Image.fromarray(values), FramingConfig(size=8, channels=1))
    assert np.array_equal(found[0], values // 256)


def test_a_palette_is_read_by_its_colours():
    colours = Image.new("RGB", (8, 8), (10, 200, 30))
    palette = colours.convert("P", palette=Image.Palette.ADAPTIVE)
    assert framed(palette, FramingConfig(size=8))[:, 0, 0].tolist() == [10, 200, 30]


def test_an_image_is_turned_as_its_camera_says():
    image = picture(size=(8, 8))
    notes = Image.Exif()
    notes[0x0112] = 3  # upside down
    image.info["exif"] = notes.tobytes()
    turned = framed(image, FramingConfig(size=8))
    as_it_is = np.asarray(image).transpose(2, 0, 1)
    assert np.array_equal(turned, as_it_is[:, ::-1, ::-1])


def test_opaque_alpha_is_dropped_and_transparency_refused():
    image = picture(size=(8, 8))
    opaque = image.convert("RGBA")
    plain = framed(image, FramingConfig(size=8))
    assert np.array_equal(framed(opaque, FramingConfig(size=8)), plain)
    opaque.putpixel((3, 3), (0, 0, 0, 254))
    with pytest.raises(ValueError, match="is transparent in places"):
        framed(opaque, FramingConfig(size=8))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 3}, r"`size` must be an integer in \[4, 1024\], but got 3"),
        ({"channels": 2}, r"`channels` must be 1 \(grey\) or 3 .*, but got 2"),
        ({"size": 32, "resize": 31}, "`resize` must be at least the `size` of 32, but"),
    ],
)
def test_frames_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        FramingConfig(**fields)
