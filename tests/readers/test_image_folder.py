import os
import shutil

import numpy as np
import pytest
import torch

from orthotune.data.dataset import split_source
from orthotune.data.splits import Split, StreamedSplit
from orthotune.readers.image_folder import image_folder
from orthotune.readers.settings import ImageFolderConfig
from tests.data.small_files import splits
from tests.data.small_images import content_of, picture, refused, write_classes

SMALL = ImageFolderConfig(size=8)


def pixels(image):
    """An image of 8x8 as torch has it."""
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())


def test_classes_are_numbered_by_name_and_every_image_is_there_once(tmp_path):
    write_classes(tmp_path, ("bee", "ant", "cat"), num=20, size=(8, 8))
    dataset = split_source(image_folder(SMALL, tmp_path))
    found = {}
    for split in splits(dataset):
        for image, target in zip(split.images, split.targets.tolist(), strict=True):
            found.setdefault(target, []).append(image.numpy().tobytes())
    # `write_classes` draws bee first, at 0, then ant and cat.
    for target, place in enumerate((1, 0, 2)):
        drawn = [pixels(picture(1000 * place + k, (8, 8))) for k in range(20)]
        expected = sorted(image.numpy().tobytes() for image in drawn)
        assert sorted(found[target]) == expected
    assert dataset.num_classes == 3
    assert [len(split) for split in splits(dataset)] == [36, 12, 12]


@pytest.mark.parametrize("second", ["val", "valid", "validation", "test"])
def test_parts_that_have_folders_are_these(second, tmp_path):
    write_classes(tmp_path / "train", num=20, size=(8, 8))
    for name in ("ant", "bee"):
        (tmp_path / second / name).mkdir(parents=True)
        picture(7, (8, 8)).save(tmp_path / second / name / "one.png")
    dataset = split_source(image_folder(SMALL, tmp_path))
    official = dataset.test if second == "test" else dataset.val
    other = dataset.val if second == "test" else dataset.test
    assert official.targets.tolist() == [0, 1]
    assert torch.equal(official.images[0], pixels(picture(7, (8, 8))))
    share = 4 if second == "test" else 8  # a tenth, and a fifth of few
    assert (len(dataset.train), len(other)) == (40 - share, share)


def test_three_parts_are_taken_as_they_are(tmp_path):
    for part, num in (("train", 5), ("val", 3), ("test", 2)):
        write_classes(tmp_path / part, num=num)
    dataset = split_source(image_folder(SMALL, tmp_path))
    assert [len(split) for split in splits(dataset)] == [10, 6, 4]
    assert dataset.val.targets.tolist() == [0, 0, 0, 1, 1, 1]


def test_what_file_managers_leave_and_nested_folders_are_no_trouble(tmp_path):
    write_classes(tmp_path, num=5)
    for place in (tmp_path, tmp_path / "ant"):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._000.png"):
            (place / name).write_bytes(b"x")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "ant" / "images").mkdir()
    shutil.copy(tmp_path / "bee" / "000.png", tmp_path / "ant" / "images" / "x.PNG")
    source = image_folder(SMALL, tmp_path)
    assert len(source.images) == 11
    assert source.targets.tolist() == [0] * 6 + [1] * 5


def test_streamed_and_held_images_and_moments_are_the_same(tmp_path):
    write_classes(tmp_path, num=15)
    source = image_folder(SMALL, tmp_path)
    need = 30 * 3 * 8 * 8
    held, streamed = split_source(source, need), split_source(source, need - 1)
    for ours, theirs in zip(splits(held), splits(streamed), strict=True):
        assert isinstance(ours, Split)
        assert isinstance(theirs, StreamedSplit)
        assert ours.shape == theirs.shape == (3, 8, 8)
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.targets, theirs.targets)
    assert torch.equal(held.mean, streamed.mean)
    assert torch.equal(held.std, streamed.std)
    images = held.normalize(held.train.images).double()
    means = images.mean((0, 2, 3))
    torch.testing.assert_close(means, torch.zeros_like(means), rtol=0, atol=1e-6)


def put(name, content=b"x"):
    def spoil(root):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return spoil


def drop(*names):
    def spoil(root):
        for name in names:
            shutil.rmtree(root / name)

    return spoil


def make(name):
    return lambda root: (root / name).mkdir(parents=True)


def link(name, target):
    return lambda root: (root / name).symlink_to(target)


def pipe(root):
    os.mkfifo(root / "ant" / "pipe.png")


def parts(*names):
    def spoil(root):
        shutil.rmtree(root)
        for name in names:
            write_classes(root / name, num=2)

    return spoil


WRONG = {  # what is done to a folder, and what is said of it
    "empty class": (make("cow"), "{root}/cow holds no image. Fill it, or delete it."),
    "hidden files only": (put("cow/.DS_Store"), "{root}/cow holds no image. F"),
    "one class": (drop("bee"), "{root} holds only ant. Make a folder a class, images"),
    "no class": (drop("ant", "bee"), "{root} holds none. Make a folder a class"),
    "text among images": (
        put("ant/notes.txt"),
        "{root}/ant/notes.txt is none by its name. Convert it, or move it away.",
    ),
    "another format": (put("ant/x.webp"), "{root}/ant/x.webp is none by its name. C"),
    "image beside classes": (
        put("cat.jpg"),
        "{root}/cat.jpg is in no class folder. Move it into one.",
    ),
    "link to nothing": (
        link("ant/x.png", "nowhere"),
        "{root}/ant/x.png is a link to what is not there. Move it away.",
    ),
    "link to itself": (
        link("ant/x.png", "x.png"),
        "{root}/ant/x.png cannot be read (Too many levels of symbolic links). Mend it",
    ),
    "link above": (
        link("ant/more", ".."),
        "{root}/ant/more leads back to a folder above it. Delete this link.",
    ),
    "pipe": (pipe, "{root}/ant/pipe.png is neither file nor folder. Move it away."),
    "class without training": (
        lambda root: (parts("train", "test")(root), put("test/cow/1.png")(root)),
        "{root}/test/cow is a class without images in {root}/train. Add some, or",
    ),
    "two for validation": (
        parts("train", "val", "validation"),
        "{root} holds the folders train, val, validation. Keep one folder for valid",
    ),
    "class beside parts": (
        lambda root: (parts("train", "test")(root), put("cow/1.png")(root)),
        "{root}/cow stands beside test, train. Move it away.",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_folder_that_is_no_data_set_is_refused_by_name(what, tmp_path):
    spoil, problem = WRONG[what]
    root = tmp_path / "data"
    write_classes(root, num=2)
    spoil(root)
    before = sorted(root.rglob("*"))
    message = refused(lambda: image_folder(SMALL, root))
    assert message.startswith(
        "`data.root` must hold two or more folders of JPEG or PNG images, one a class, "
        f"but {problem.format(root=root)}"
    )
    assert sorted(root.rglob("*")) == before


def test_a_root_that_is_not_there_or_no_folder_is_refused(tmp_path):
    assert refused(lambda: image_folder(SMALL, tmp_path / "lost")) == (
        f"`data.root` must hold a folder of images a class, but {tmp_path}/lost is not "
        "there. Make it, or give another `data.root`."
    )
    (tmp_path / "file").write_bytes(content_of(picture()))
    message = refused(lambda: image_folder(SMALL, tmp_path / "file"))
    assert f"but {tmp_path}/file is no folder. Give another `data.root`." in message
