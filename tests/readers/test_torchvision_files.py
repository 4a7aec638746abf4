import gzip
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orthotune.config.sections import DataConfig
from orthotune.data.datasets import load_dataset
from tests.data.small_files import (
    RAW,
    check_splits,
    fashion_config,
    fashion_fetched,
    refusal,
    seen,
    write_idx,
)
from tests.users import OTHER, as_user


@pytest.mark.parametrize("left", [0, 1, 4, 10, 16, 17, 5000])
def test_a_truncated_image_file_is_named(left, fashion, tmp_path):
    fashion()
    file = tmp_path / RAW / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:left])
    found = f"has {left} bytes in place of {30 * 28 * 28 + 16}"
    problem = {0: "is empty", 1: MNIST, 4: MNIST, 10: MNIST}.get(left, found)
    assert f"must hold FashionMNIST, but {file} {problem}. Set" in refusal(
        fashion_config(tmp_path)
    )


MNIST = "is no file in MNIST's format"


def swap(file):
    """Labels in place of images, or the other way round."""
    other = {"images-idx3": "labels-idx1", "labels-idx1": "images-idx3"}
    (old,) = (name for name in other if name in file.name)
    shutil.copy(file.with_name(file.name.replace(old, other[old])), file)


def make_folder(file):
    file.unlink()
    file.mkdir()


def link(target):
    def replace(file):
        file.unlink()
        file.symlink_to(target(file) if callable(target) else target)

    return replace


WRONG = {  # what is done to a file, and what is said of it
    "a login page": (
        lambda file: file.write_text("<html>login</html>"),
        "is a web page",
    ),
    "an error page": (lambda file: file.write_text("\n<?xml?>"), "is a web page"),
    "an archive cut short": (
        lambda file: file.write_bytes(gzip.compress(file.read_bytes())[:-9]),
        "is a broken archive, or a part of one",
    ),
    "another archive": (
        lambda file: file.write_bytes(gzip.compress(b"packed")),
        MNIST,
    ),
    "empty": (lambda file: file.write_bytes(b""), "is empty"),
    "swapped": (swap, MNIST),
    "cut": (
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        r"has \d+ bytes in place of \d+",
    ),
    "longer": (
        lambda file: file.write_bytes(file.read_bytes() + b"\n"),
        r"has \d+ bytes in place of \d+",
    ),
    "gone": (lambda file: file.unlink(), "is not there"),
}
IN_THE_WAY = {
    "a folder": (make_folder, "is not the file that it must be"),
    "a device": (link("/dev/null"), "is not the file that it must be"),
    "a pipe": (
        lambda file: (file.unlink(), os.mkfifo(file)),
        "is not the file that it must be",
    ),
    "a link to nothing": (link("nothing"), "is a link to what is not there"),
    "a loop of links": (
        link(lambda file: file.name),
        r"cannot be read \(Too many levels of symbolic links\)",
    ),
}
FETCH = "Set `data.download` to true where there is a network, or put torchvision's fi"


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_named_with_what_is_wrong(what, name, fashion, tmp_path):
    fashion()
    spoil, problem = WRONG[what]
    spoil(tmp_path / RAW / name)
    message = refusal(fashion_config(tmp_path))
    words = rf"must hold FashionMNIST, but {tmp_path / RAW / name} {problem}\. {FETCH}"
    assert re.search(words, message)


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_no_download_can_replace_is_named(what, download, fashion, tmp_path):
    fashion()
    file = tmp_path / RAW / "train-labels-idx1-ubyte"
    spoil, problem = IN_THE_WAY[what]
    spoil(file)
    message = refusal(replace(fashion_config(tmp_path), download=download))
    assert re.search(rf"must hold FashionMNIST, but {file} {problem}\. M", message)
    assert "data.download" not in message


def no_files(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    return {
        "file": (tmp_path / "file", "is not the folder that it must be"),
        "below": (tmp_path / "file", "is not the folder that it must be"),
        "loop": (tmp_path / "loop", r"cannot be read \(Too many levels of symb"),
        "long": (tmp_path / ("x" * 300), r"cannot be read \(File name too long\)"),
        "null": (Path("/dev/null"), "is not the folder that it must be"),
    }


@pytest.mark.parametrize("name", ["cifar10", "svhn", "fashion_mnist"])
@pytest.mark.parametrize("what", ["file", "below", "loop", "long", "null"])
@pytest.mark.parametrize("download", [False, True])
def test_a_root_that_is_no_folder_is_refused(what, name, download, tmp_path, fresh):
    pytest.importorskip("torchvision")
    place, problem = no_files(tmp_path)[what]
    root = place / "below" if what == "below" else place
    message = refusal(DataConfig(name=name, root=str(root), download=download))
    assert re.search(rf"must hold \w+, but {place} {problem}", message)
    assert "data.download" not in message


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_broken_cifar_file_is_named(name, cifar, tmp_path):
    cifar("CIFAR10", 10)
    config = DataConfig(name="cifar10", root=str(tmp_path), batch_size=4)
    file = tmp_path / "cifar-10-batches-py" / name
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    bytes_left = f"({len(whole) // 2} bytes)"
    problem = f"{file} is another file, or a part of it {bytes_left}. {FETCH}"
    assert f"must hold CIFAR10, but {problem}" in refusal(config)
    file.unlink()
    assert f"must hold CIFAR10, but {file} is not there. {FETCH}" in refusal(config)
    file.write_bytes(whole)
    load_dataset(config)  # a failure is not remembered


def test_a_truncated_svhn_file_is_named(svhn, tmp_path):
    svhn()
    file = tmp_path / "train_32x32.mat"
    file.write_bytes(file.read_bytes()[:-100])
    config = DataConfig(name="svhn", root=str(tmp_path), batch_size=4)
    assert f"must hold SVHN, but {file} is another file, or a part" in refusal(config)


def test_an_archive_that_is_not_unpacked_is_named(tmp_path, fresh):
    pytest.importorskip("torchvision")
    file = tmp_path / "cifar-10-python.tar.gz"
    file.write_bytes(b"packed")
    missing = tmp_path / "cifar-10-batches-py"
    problem = f"{missing} is not there, only {file} is, which `data.download` unpacks. "
    config = DataConfig(name="cifar10", root=str(tmp_path))
    assert problem + FETCH in refusal(config)


def train_as_another(folder, *settings):
    words = [word for setting in settings for word in ("--set", setting)]
    train = [sys.executable, "-m", "orthotune.train", *words]
    return as_user(OTHER, folder, *train, cwd=folder)


@pytest.mark.parametrize(
    "closed",
    [
        RAW / "train-labels-idx1-ubyte",
        pytest.param("FashionMNIST", marks=pytest.mark.soak),
    ],
)
def test_files_that_may_not_be_read_are_named(closed, fashion, open_folder):
    fashion(open_folder)
    (open_folder / closed).chmod(0)
    words = [f"data.root={open_folder}", "data.name=fashion_mnist"]
    done = train_as_another(open_folder, *words)
    place = open_folder / closed
    if closed == "FashionMNIST":
        place /= "raw"
    assert done.returncode == 2
    assert done.stderr == (
        f"orthotune: `data.root` must hold FashionMNIST, but {place} cannot be read "
        "(Permission denied). Make it readable, or give another `data.root`.\n"
    )


@pytest.mark.parametrize("what", WRONG)
def test_following_the_advice_brings_the_files(what, fashion, server, tmp_path):
    train, test = fashion()
    asked, whole = server(tmp_path / RAW), seen(tmp_path)
    spoil, _ = WRONG[what]
    spoil(tmp_path / RAW / "train-images-idx3-ubyte")
    assert FETCH in refusal(fashion_config(tmp_path))
    assert asked == []
    check_splits(fashion_fetched(tmp_path), train, test, (1, 28, 28))
    assert {name: seen(tmp_path)[name] for name in whole} == whole
    assert "/train-images-idx3-ubyte.gz" in asked
    asked.clear()
    check_splits(fashion_fetched(tmp_path), train, test, (1, 28, 28))
    assert asked == []


@pytest.mark.parametrize(
    "closed",
    [
        "FashionMNIST",
        pytest.param("", marks=pytest.mark.soak),
        pytest.param("file", marks=pytest.mark.soak),
    ],
)
def test_nothing_is_fetched_into_what_another_owns(closed, fashion, open_folder):
    """What would be left there half-done would be in its owner's way."""
    fashion(open_folder)
    file = open_folder / RAW / "t10k-labels-idx1-ubyte"
    file.write_bytes(b"")
    for path in (open_folder, *open_folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    place = {"": open_folder, "FashionMNIST": file.parent, "file": file}[closed]
    place.chmod(0o555 if place.is_dir() else 0o444)
    if closed == "":
        shutil.rmtree(open_folder / "FashionMNIST")
    before = sorted(open_folder.rglob("*"))
    words = [f"data.root={open_folder}", "data.name=fashion_mnist"]
    done = train_as_another(open_folder, *words, "data.download=true")
    assert done.returncode == 2
    assert done.stderr == (
        "orthotune: `data.root` must be writable where FashionMNIST is to be "
        f"downloaded, but {place} is not. Have its owner do that, or give another "
        "`data.root`.\n"
    )
    assert sorted(open_folder.rglob("*")) == before


@pytest.mark.parametrize("labels", [range(29), range(31), [77] * 30])
def test_labels_that_do_not_fit_the_images_are_refused(labels, fashion, tmp_path):
    fashion()
    file = tmp_path / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte"
    write_idx(
        file, np.array([n if n == 77 else n % 10 for n in labels], dtype=np.uint8)
    )
    problem = "holds the label 77 of 10 classes from 0"
    if len(labels) != 30:
        number = len(labels)
        problem = f"holds {number} labels for the 30 images in train-images-idx3-ubyte"
    assert f"but {file} {problem}. {FETCH}" in refusal(fashion_config(tmp_path))
