import functools
import pickle
import zipfile

import numpy as np
import pytest
import torch

from orthotune.data.dataset import split_source
from orthotune.errors import ConfigError
from orthotune.readers.array_file import npz, pt
from orthotune.readers.settings import NpzConfig, PtConfig
from tests.data.small_files import pixels
from tests.data.small_images import refused

IMAGES = pixels(20, 3, 8, 6, seed=0)
LABELS = np.arange(20) % 4


def read(tmp_path, **arrays):
    np.savez(tmp_path / "images.npz", **arrays)
    return npz(NpzConfig(), tmp_path)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (IMAGES, IMAGES),
        (IMAGES.transpose(0, 2, 3, 1), IMAGES),
        (IMAGES[:, 0], IMAGES[:, :1]),
        (IMAGES.astype(np.int64), IMAGES),
        (IMAGES / 255, (IMAGES / 255).astype(np.float32)),
        (np.float16(IMAGES), IMAGES.astype(np.float32)),
        (pixels(20, 5, 8, 8, seed=1), pixels(20, 5, 8, 8, seed=1)),
        (
            pixels(20, 8, 8, 5, seed=1),
            pixels(20, 8, 8, 5, seed=1).transpose(0, 3, 1, 2),
        ),
    ],
    ids=["NCHW", "NHWC", "NHW", "integers", "double", "half", "five", "five last"],
)
def test_images_are_read_whatever_the_order_of_their_axes(images, expected, tmp_path):
    source = read(tmp_path, images=images, labels=LABELS)
    assert source.images.dtype == expected.dtype
    assert np.array_equal(source.images, expected)
    assert np.array_equal(source.targets, LABELS)
    assert source.num_classes == 4


@pytest.mark.parametrize(
    "names",
    [("images", "labels"), ("x", "y"), ("x_train", "y_train"), ("train_x", "train_y")],
)
@pytest.mark.parametrize("labels", [LABELS, LABELS.astype(np.uint8)[:, None]])
def test_arrays_are_found_by_the_names_that_people_use(names, labels, tmp_path):
    source = read(tmp_path, **dict(zip(names, (IMAGES, labels), strict=True)))
    assert np.array_equal(source.images, IMAGES)
    assert source.targets.tolist() == LABELS.tolist()
    assert source.val_images is source.test_images is None


def test_parts_are_taken_as_they_are(tmp_path):
    arrays = {
        f"{part}_{what}": array[:num]
        for part, num in (("train", 20), ("val", 7), ("test", 5))
        for what, array in (("images", IMAGES), ("labels", LABELS))
    }
    dataset = split_source(read(tmp_path, **arrays))
    assert [len(s) for s in (dataset.train, dataset.val, dataset.test)] == [20, 7, 5]
    assert np.array_equal(dataset.val.images.numpy(), IMAGES[:7])
    assert dataset.test.targets.tolist() == LABELS[:5].tolist()


@pytest.mark.parametrize("form", ["dict", "pair", "bfloat16"])
def test_tensors_are_read_from_torchs_files(form, tmp_path):
    images, labels = torch.from_numpy(IMAGES), torch.from_numpy(LABELS)
    if form == "bfloat16":
        images = images.bfloat16()
    whole = {"x": images, "y": labels, "made": "by hand"}
    torch.save((images, labels) if form == "pair" else whole, tmp_path / "images.pt")
    source = pt(PtConfig(), tmp_path)
    assert np.array_equal(source.images, IMAGES)
    assert np.array_equal(source.targets, LABELS)


def test_a_file_may_have_another_name(tmp_path):
    (tmp_path / "sub").mkdir()
    np.savez(tmp_path / "sub" / "my.npz", images=IMAGES, labels=LABELS)
    source = npz(NpzConfig(file="sub/my.npz", flips=True), tmp_path)
    assert len(source.images) == 20
    assert source.flips
    with pytest.raises(ConfigError, match="`file` must be the path of a file, but got"):
        NpzConfig(file="")


NAN = np.where(np.arange(20)[:, None, None, None] == 3, np.nan, IMAGES / 255)
OBJECTS = np.array([{"a": 1}] * 20, dtype=object)

WRONG = {  # the arrays in a file, and what is said of it
    "no images": ({"pictures": IMAGES, "labels": LABELS}, "names no array `images` or"),
    "no labels": ({"images": IMAGES}, "names no array `labels` or `y` among images"),
    "nothing": ({}, "names no array `images` or `x` among nothing"),
    "test without labels": (
        {"images": IMAGES, "labels": LABELS, "test_images": IMAGES},
        "names no array `labels` or `y` among images, labels, test_images",
    ),
    "wrong rank": (
        {"images": IMAGES.reshape(20, -1), "labels": LABELS},
        "holds `images` of shape 20x144, not N x H x W (x C)",
    ),
    "no image": (
        {"images": IMAGES[:0], "labels": LABELS[:0]},
        "holds `images` of shape 0x3x8x6, not",
    ),
    "channels": (
        {"images": pixels(20, 5, 8, 6, seed=0), "labels": LABELS},
        "holds `images` of shape 20x5x8x6, without 1 or 3 channels",
    ),
    "NaN": ({"x": NAN, "y": LABELS}, "holds a NaN or infinity in `x`, image 3"),
    "too large": (
        {"x": IMAGES.astype(int) * 2, "y": LABELS},
        "holds `x` of type int64, not bytes or floats",
    ),
    "complex": (
        {"x": IMAGES.astype(complex), "y": LABELS},
        "holds `x` of type complex128, not bytes or floats",
    ),
    "too few labels": (
        {"x": IMAGES, "y": LABELS[:-1]},
        "holds 19 labels for 20 images",
    ),
    "negative": ({"x": IMAGES, "y": LABELS - 1}, "holds the label -1 in `y`"),
    "fractions": (
        {"x": IMAGES, "y": LABELS / 2},
        "holds `y` of type float64 and shape 20, not an integer an image",
    ),
    "one-hot": (
        {"x": IMAGES, "y": np.eye(4, dtype=int)[LABELS]},
        "holds `y` of type int64 and shape 20x4, not an integer an image",
    ),
    "words": (
        {"x": IMAGES, "y": np.array(["cat", "dog"] * 10)},
        "holds `y` of type <U3 and shape 20, not an integer an image",
    ),
    "one class": ({"x": IMAGES, "y": LABELS * 0 + 1}, "holds images of one class only"),
    "numbers as labels": (
        {"x": IMAGES, "y": LABELS + 1990},
        "holds the label 1993 for 20 images: classes are numbered from 0",
    ),
    "other shapes": (
        {"x": IMAGES, "y": LABELS, "x_test": IMAGES[:, :1], "y_test": LABELS},
        "holds parts whose images differ in shape or type",
    ),
    "objects": (
        {"images": IMAGES, "labels": OBJECTS},
        "holds objects that loading would execute, or no arrays at all",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_arrays_that_are_no_data_set_are_refused_by_the_files_name(what, tmp_path):
    arrays, problem = WRONG[what]
    message = refused(functools.partial(read, tmp_path, **arrays))
    assert message.startswith(
        "`data.root` must hold a file of images and their labels, but "
        f"{tmp_path}/images.npz {problem}"
    )
    assert message.endswith(
        ". Write it again with arrays `images` and `labels`, plain numbers both."
    )


BROKEN = {  # what is written in a file's place, and what is said of it
    "empty": (lambda _: b"", "is empty"),
    "cut": (lambda whole: whole[: len(whole) // 2], "is only a part of one, or anoth"),
    "text": (lambda _: b"once upon a time", "holds objects that loading would exec"),
    "pickle": (lambda _: pickle.dumps({"x": 1}), "holds objects that loading would"),
    "changed": (
        lambda whole: whole.replace(IMAGES.tobytes()[:50], b"x" * 50),
        "is only a part of one, or another file",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_broken_files_are_refused_by_name(what, kind, tmp_path):
    file = tmp_path / f"images.{kind}"
    if kind == "npz":
        np.savez(file, images=IMAGES, labels=LABELS)
    else:
        whole = {"images": torch.from_numpy(IMAGES), "labels": torch.arange(20) % 4}
        torch.save(whole, file)
    spoil, problem = BROKEN[what]
    file.write_bytes(spoil(file.read_bytes()))
    read = {"npz": (npz, NpzConfig()), "pt": (pt, PtConfig())}[kind]
    message = refused(functools.partial(*read, tmp_path))
    assert f"but {file} " in message
    assert problem in message or kind == "pt"


class Trap:
    """Loading it as pickle would make a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_nothing_in_a_file_is_executed(kind, tmp_path):
    trap = tmp_path / "made"
    if kind == "npz":
        labels = np.array([Trap(trap)] * 20, dtype=object)
        np.savez(tmp_path / "images.npz", images=IMAGES, labels=labels)
        message = refused(lambda: npz(NpzConfig(), tmp_path))
    else:
        torch.save({"images": IMAGES, "labels": Trap(trap)}, tmp_path / "images.pt")
        message = refused(lambda: pt(PtConfig(), tmp_path))
    assert "holds objects that loading would execute, or no arrays at all" in message
    assert not trap.exists()


def test_what_is_no_file_or_not_there_is_refused(tmp_path):
    assert refused(lambda: npz(NpzConfig(), tmp_path)) == (
        f"`data.root` must hold a file of arrays, but {tmp_path}/images.npz is not "
        "there. Put it there, or name another one in the settings of the data set."
    )
    (tmp_path / "images.npz").mkdir()
    assert "images.npz is no file." in refused(lambda: npz(NpzConfig(), tmp_path))


def test_an_archive_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "images.npz", "w") as archive:
        archive.writestr("images", "no array")
    message = refused(lambda: npz(NpzConfig(), tmp_path))
    assert f"but {tmp_path}/images.npz " in message
