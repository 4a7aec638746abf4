import gzip
import hashlib
import http.server
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from orthotune.config.sections import DataConfig
from orthotune.config.trial import TrialConfig
from orthotune.data import datasets as data
from orthotune.data import torchvision_reader
from orthotune.data.datasets import data_fingerprint, load_dataset
from orthotune.errors import DataError, DataUnreadableError
from tests.crashes import serving
from tests.users import OTHER, as_user


@pytest.fixture
def fresh():
    """Data sets are cached by name and folder; the files of a test are its own."""
    data._load.cache_clear()
    yield
    data._load.cache_clear()


def splits(dataset):
    return dataset.train, dataset.val, dataset.test


def keys(images, targets):
    """Each image with its class as bytes, to count and compare."""
    return [
        (image.tobytes(), int(target))
        for image, target in zip(np.asarray(images), np.asarray(targets), strict=True)
    ]


def test_every_digit_of_scikit_learn_is_in_exactly_one_split():
    dataset = load_dataset(DataConfig(name="digits"))
    assert [len(split) for split in splits(dataset)] == [1197, 300, 300]
    theirs = load_digits()
    expected = Counter(keys(theirs.images.astype(np.uint8)[:, None], theirs.target))
    found = Counter()
    for split in splits(dataset):
        found.update(keys(split.images, split.targets))
    assert found == expected
    # Some digits are in the data set twice, so that equal images may be in two splits:
    # disjoint splits are proved by the counts, not by distinct images.
    assert found.total() == 1797


def test_digits_do_not_wait_for_scikit_learn():
    code = (
        "import sys; from orthotune.config.trial import DataConfig; "
        "from orthotune.data.datasets import load_dataset; "
        "load_dataset(DataConfig(name='digits')); "
        "sys.exit('sklearn.datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_digits_are_as_stored():
    dataset = load_dataset(DataConfig(name="digits"))
    assert dataset.num_classes == 10
    assert dataset.in_channels == 1
    assert not dataset.flips
    for split in splits(dataset):
        assert split.images.dtype == torch.uint8
        assert split.images.shape == (len(split), 1, 8, 8)
        assert split.targets.dtype == torch.int64
        assert split.targets.shape == (len(split),)
        counts = torch.bincount(split.targets, minlength=10)
        assert counts.min().item() > 0.06 * len(split)  # every class in every split
    assert dataset.train.images.max().item() == 16


def test_the_splits_do_not_depend_on_the_trials_seed_or_on_torchs(fresh):
    torch.manual_seed(1)
    first = load_dataset(TrialConfig.from_dict({"seed": 1}).data)
    data._load.cache_clear()
    torch.manual_seed(2)
    second = load_dataset(TrialConfig.from_dict({"seed": 2}).data)
    for ours, theirs in zip(splits(first), splits(second), strict=True):
        assert ours.images is not theirs.images
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.targets, theirs.targets)


def test_loading_moves_no_global_generator(fresh):
    torch.manual_seed(0)
    np.random.seed(0)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    load_dataset(DataConfig(name="digits"))
    load_dataset(DataConfig(name="synthetic"))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpys).all()


def test_a_data_set_is_loaded_once_a_process():
    first = load_dataset(DataConfig(name="digits", num_train=100))
    second = load_dataset(DataConfig(name="digits", batch_size=8))
    assert first.val.images is second.val.images


def test_the_first_training_images_are_taken_and_nothing_else_changes():
    whole = load_dataset(DataConfig(name="digits"))
    part = load_dataset(DataConfig(name="digits", num_train=100))
    assert len(part.train) == 100
    assert torch.equal(part.train.images, whole.train.images[:100])
    assert torch.equal(part.train.targets, whole.train.targets[:100])
    assert torch.equal(part.mean, whole.mean)
    assert torch.equal(part.std, whole.std)
    assert part.val is whole.val
    assert part.test is whole.test


def test_all_training_images_may_be_asked_for_by_number():
    assert len(load_dataset(DataConfig(name="digits", num_train=1197)).train) == 1197
    load_dataset(DataConfig(name="digits", batch_size=1197))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"num_train": 1198},
            "`data.num_train` must be at most 1197, the training images of digits, "
            "but got 1198.",
        ),
        (
            {"batch_size": 1198},
            "`data.batch_size` must be at most 1197, the training images of digits, "
            "but got 1198.",
        ),
        (
            {"name": "synthetic", "num_train": 5000, "batch_size": 4000},
            "`data.num_train` must be at most 1400, the training images of synthetic, "
            "but got 5000.",
        ),
    ],
)
def test_more_images_than_there_are_are_refused(fields, message):
    with pytest.raises(DataError) as caught:
        load_dataset(DataConfig(**fields))
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_normalized_training_images_have_mean_zero_and_variance_one(name):
    dataset = load_dataset(DataConfig(name=name))
    images = dataset.normalize(dataset.train.images)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    by_channel = images.double().transpose(0, 1).flatten(1)
    zeros = torch.zeros(len(by_channel), dtype=torch.float64)
    # float32 images, means and deviations: a few units in the last place of each.
    tolerance = 8 * torch.finfo(torch.float32).eps
    torch.testing.assert_close(by_channel.mean(1), zeros, rtol=0, atol=tolerance)
    torch.testing.assert_close(
        by_channel.var(1, unbiased=False), zeros + 1, rtol=0, atol=tolerance
    )


def test_normalizing_is_invertible_by_hand():
    dataset = load_dataset(DataConfig(name="synthetic"))
    pixels = dataset.train.images.double().transpose(0, 1).flatten(1)  # (C, N H W)
    mean = pixels.mean(1)[:, None, None]
    std = pixels.std(1, unbiased=False)[:, None, None]
    expected = (dataset.val.images.double() - mean) / std
    ours = dataset.normalize(dataset.val.images)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-6, atol=1e-6)


def test_synthetic_images_are_seeded_and_can_be_told_apart():
    dataset = load_dataset(DataConfig(name="synthetic"))
    assert [len(split) for split in splits(dataset)] == [1400, 300, 300]
    assert dataset.train.images.shape == (1400, 3, 8, 8)
    assert dataset.train.images.dtype == torch.float32
    assert dataset.in_channels == 3
    prototypes = torch.stack(
        [dataset.train.images[dataset.train.targets == k].mean(0) for k in range(10)]
    )
    distances = torch.cdist(dataset.test.images.flatten(1), prototypes.flatten(1))
    accuracy = (distances.argmin(1) == dataset.test.targets).double().mean().item()
    assert accuracy > 0.95


def test_a_data_set_moves_to_a_device_whole():
    dataset = load_dataset(DataConfig(name="digits"), "meta")
    tensors = [dataset.mean, dataset.std]
    for split in splits(dataset):
        tensors += [split.images, split.targets]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


# Data sets that are files. Each test writes a small data set in the real format.

RAW = Path("FashionMNIST", "raw")
CIFAR = "cifar-10-batches-py"
NAMES = {
    "CIFAR10": [
        *(f"{CIFAR}/data_batch_{k}" for k in range(1, 6)),
        *(f"{CIFAR}/{name}" for name in ("test_batch", "batches.meta")),
    ],
    "CIFAR100": [f"cifar-100-python/{name}" for name in ("train", "test", "meta")],
    "SVHN": ["train_32x32.mat", "test_32x32.mat"],
    "FashionMNIST": [
        str(RAW / f"{part}-{kind}-ubyte")
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ],
}
"""The files of torchvision's data sets below a root, as its documentation has them."""


def pixels(num, *shape, seed):
    return np.random.default_rng(seed).integers(0, 256, (num, *shape), dtype=np.uint8)


def classes(num, num_classes, seed):
    drawn = np.random.default_rng(seed).integers(0, num_classes, num)
    drawn[:2] = 0, num_classes - 1
    return [int(target) for target in drawn]


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def short_string(text):
    return b"T" + struct.pack("<i", len(text)) + text


def number(value):
    return b"J" + struct.pack("<i", value)


def array_of_python_2(array):
    """The opcodes that numpy under Python 2 wrote for an array of bytes."""
    dtype = b"cnumpy\ndtype\n(" + short_string(b"u1") + number(0) + number(1) + b"tR"
    dtype += b"(" + number(3) + short_string(b"|") + b"NNN"
    dtype += number(-1) + number(-1) + number(0) + b"tb"
    shape = b"(" + b"".join(map(number, array.shape)) + b"t"
    content = b"\x89" + short_string(array.tobytes())  # False: not in Fortran's order
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n("
        + number(0)
        + b"t"
        + short_string(b"b")
        + b"tR("
        + number(1)
        + shape
        + dtype
        + content
        + b"tb"
    )


def pickle_of_python_2(mapping):
    """A dict of strings to arrays and lists, as CIFAR's authors pickled it."""

    def opcodes(value):
        if isinstance(value, np.ndarray):
            return array_of_python_2(value)
        if isinstance(value, list):
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        return number(value) if isinstance(value, int) else short_string(value.encode())

    items = b"".join(opcodes(key) + opcodes(mapping[key]) for key in mapping)
    return b"\x80\x02}(" + items + b"u."


@pytest.fixture
def cifar(tmp_path, monkeypatch, fresh):
    """A function that writes a CIFAR of 50 training images and 7 test images."""
    torchvision = pytest.importorskip("torchvision")

    def write(kind, num_classes):
        cls = getattr(torchvision.datasets, kind)
        folder = tmp_path / cls.base_folder
        folder.mkdir()
        label = "labels" if kind == "CIFAR10" else "fine_labels"
        train = pixels(50, 3072, seed=0), classes(50, num_classes, seed=1)
        test = pixels(7, 3072, seed=2), classes(7, num_classes, seed=3)
        names = [name for name, _ in cls.train_list]
        size = 50 // len(names)
        files = {
            name: {"data": part, label: train[1][start : start + size]}
            for name, start in zip(names, range(0, 50, size), strict=True)
            for part in [train[0][start : start + size]]
        }
        files[cls.test_list[0][0]] = {"data": test[0], label: test[1]}
        files[cls.meta["filename"]] = {
            cls.meta["key"]: [f"class {k}" for k in range(num_classes)]
        }
        for name, content in files.items():
            (folder / name).write_bytes(pickle_of_python_2(content))
        for attribute in ("train_list", "test_list"):
            listed = getattr(cls, attribute)
            checked = [[name, md5(folder / name)] for name, _ in listed]
            monkeypatch.setattr(cls, attribute, checked)
        meta = {**cls.meta, "md5": md5(folder / cls.meta["filename"])}
        monkeypatch.setattr(cls, "meta", meta)
        return train, test

    return write


def check_splits(dataset, train, test, shape):
    """The official test part is the test split; a tenth of the rest is validation."""
    num = len(train[1])
    assert len(dataset.val) == round(num / 10)
    assert len(dataset.train) == num - round(num / 10)
    ours = Counter()
    for split in (dataset.train, dataset.val):
        ours.update(keys(split.images, split.targets))
    assert ours == Counter(keys(train[0].reshape(-1, *shape), train[1]))
    assert np.array_equal(dataset.test.images.numpy(), test[0].reshape(-1, *shape))
    assert dataset.test.targets.tolist() == list(test[1])
    for split in splits(dataset):
        assert split.images.dtype == torch.uint8
        assert split.images.shape[1:] == shape
        assert split.targets.dtype == torch.int64
    order = [train[1].index(target) for target in dataset.train.targets.tolist()]
    assert order != sorted(order)  # shuffled


@pytest.mark.parametrize(
    ("name", "kind", "num_classes"),
    [("cifar10", "CIFAR10", 10), ("cifar100", "CIFAR100", 100)],
)
def test_cifar_is_read_from_torchvisions_files(
    name, kind, num_classes, cifar, tmp_path
):
    train, test = cifar(kind, num_classes)
    dataset = load_dataset(DataConfig(name=name, root=str(tmp_path), batch_size=4))
    check_splits(dataset, train, test, (3, 32, 32))
    assert dataset.num_classes == num_classes
    assert dataset.flips
    images = dataset.normalize(dataset.train.images).double()
    means = images.mean((0, 2, 3))
    torch.testing.assert_close(means, torch.zeros_like(means), rtol=0, atol=1e-6)


@pytest.fixture
def svhn(tmp_path, monkeypatch, fresh):
    """A function that writes an SVHN of 40 training images and 6 test images."""
    torchvision = pytest.importorskip("torchvision")
    savemat = pytest.importorskip("scipy.io").savemat

    def write():
        parts, listed = {}, {}
        for part, num in (("train", 40), ("test", 6)):
            images = pixels(num, 3, 32, 32, seed=num)
            targets = classes(num, 10, seed=num + 1)
            url, name, _ = torchvision.datasets.SVHN.split_list[part]
            stored = [[target or 10] for target in targets]  # the files call zero ten
            content = {
                "X": images.transpose(2, 3, 1, 0),  # (H, W, C, N)
                "y": np.array(stored, dtype=np.uint8),
            }
            savemat(tmp_path / name, content)
            parts[part] = images, targets
            listed[part] = [url, name, md5(tmp_path / name)]
        monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", listed)
        return parts["train"], parts["test"]

    return write


def test_svhn_is_read_from_torchvisions_files(svhn, tmp_path):
    train, test = svhn()
    dataset = load_dataset(DataConfig(name="svhn", root=str(tmp_path), batch_size=4))
    check_splits(dataset, train, test, (3, 32, 32))
    assert dataset.num_classes == 10
    assert not dataset.flips  # a mirrored 2 is no 2


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim)  # 8: unsigned bytes
    header += struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture
def fashion(tmp_path, fresh):
    """A function that writes a Fashion-MNIST of 30 training and 5 test images."""
    pytest.importorskip("torchvision")

    def write(root=tmp_path):
        folder = root / RAW
        folder.mkdir(parents=True)
        parts = []
        for name, num in (("train", 30), ("t10k", 5)):
            images, targets = pixels(num, 28, 28, seed=num), classes(num, 10, seed=num)
            write_idx(folder / f"{name}-images-idx3-ubyte", images)
            labels = np.array(targets, dtype=np.uint8)
            write_idx(folder / f"{name}-labels-idx1-ubyte", labels)
            parts.append((images, targets))
        return parts

    return write


def fashion_config(tmp_path):
    return DataConfig(name="fashion_mnist", root=str(tmp_path), batch_size=4)


def test_fashion_mnist_is_read_from_torchvisions_files(fashion, tmp_path):
    train, test = fashion()
    dataset = load_dataset(fashion_config(tmp_path))
    check_splits(dataset, train, test, (1, 28, 28))
    assert dataset.num_classes == 10
    assert dataset.flips


def test_a_root_in_the_working_directory_is_found(fashion, tmp_path, monkeypatch):
    fashion()
    monkeypatch.chdir(tmp_path.parent)
    relative = load_dataset(
        DataConfig(name="fashion_mnist", root=tmp_path.name, batch_size=4)
    )
    assert relative.train is not None
    assert relative.val is load_dataset(fashion_config(tmp_path)).val


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cifar10", "CIFAR10"),
        ("cifar100", "CIFAR100"),
        ("svhn", "SVHN"),
        ("fashion_mnist", "FashionMNIST"),
    ],
)
def test_a_missing_data_set_is_refused_with_where_and_how_to_get_it(
    name, kind, tmp_path, fresh
):
    pytest.importorskip("torchvision")
    root = tmp_path / "empty"
    with pytest.raises(DataError) as caught:
        load_dataset(DataConfig(name=name, root=str(root)))
    message = str(caught.value)
    assert message.startswith(
        f"`data.root` must hold {kind}, but {root} is not there. Set `data.download` "
        f"to true where there is a network, or put torchvision's files into {root}: "
    )
    first, *others = NAMES[kind]
    assert message.endswith(f"{root}: {first} and {len(others)} more.")
    assert "\n" not in message
    assert caught.value.__cause__ is not None
    assert not root.exists()


def refusal(config):
    data._load.cache_clear()
    with pytest.raises(DataUnreadableError) as caught:
        load_dataset(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
    "compressed": (
        lambda file: file.write_bytes(gzip.compress(file.read_bytes())),
        r"is compressed \(gzip\)",
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


def test_a_name_that_the_locale_does_not_have_is_refused(tmp_path):
    (tmp_path / "trial.yaml").write_text("data.name: cifar10\ndata.root: dätä\n")
    done = subprocess.run(
        [sys.executable, "-m", "orthotune.train", "trial.yaml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
        },
        capture_output=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        b"orthotune: `data.root` must be a name in the encoding of the locale, ascii, "
        b"but got the string 'd\\xe4t\\xe4'. Set LC_ALL to C.UTF-8, or PYTHONUTF8 to 1."
    ]


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


@pytest.mark.parametrize(
    ("name", "archive", "lacks"),
    [
        ("cifar10", "cifar-10-python.tar.gz", "cifar-10-batches-py"),
        (
            "fashion_mnist",
            "FashionMNIST/raw/train-images-idx3-ubyte.gz",
            "FashionMNIST/raw/train-images-idx3-ubyte",
        ),
    ],
)
def test_an_archive_that_is_not_unpacked_is_named(
    name, archive, lacks, tmp_path, fresh
):
    pytest.importorskip("torchvision")
    file = tmp_path / archive
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"packed")
    missing = tmp_path / lacks
    problem = f"{missing} is not there, only {file} is, which `data.download` unpacks. "
    assert problem + FETCH in refusal(DataConfig(name=name, root=str(tmp_path)))


@pytest.mark.parametrize("numbers", ["none", "no pair", "labels"])
def test_what_torchvision_reads_and_is_no_data_set_is_refused(
    numbers, cifar, tmp_path, monkeypatch
):
    torchvision = pytest.importorskip("torchvision")
    cifar("CIFAR10", 10)

    class Odd(torchvision.datasets.CIFAR10):
        def __init__(self, **how):
            super().__init__(**how)
            keep = 0 if numbers == "none" else len(self.data)
            self.data = self.data[:keep]
            self.targets = [10 * (numbers == "labels")] * (
                keep + (numbers == "no pair")
            )

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Odd)
    config = DataConfig(name="cifar10", root=str(tmp_path), batch_size=4)
    assert re.search(
        rf"must hold Odd, but of {tmp_path} torchvision says: .*labels.*\. Delete what "
        "is there of cifar-10-batches-py/data_batch_1 and ",
        refusal(config),
    )


def train_as_another(folder, *settings):
    words = [word for setting in settings for word in ("--set", setting)]
    train = [sys.executable, "-m", "orthotune.train", *words]
    return as_user(OTHER, folder, *train, cwd=folder)


@pytest.mark.parametrize("closed", ["FashionMNIST", RAW / "train-labels-idx1-ubyte"])
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


def test_a_failing_download_is_refused_and_none_is_tried_unasked(
    fresh, tmp_path, monkeypatch
):
    torchvision = pytest.importorskip("torchvision")
    tried = []

    def download(dataset):
        tried.append(dataset.root)
        raise URLError("no network")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", download)
    fields = {"name": "cifar10", "root": str(tmp_path)}
    with pytest.raises(DataError, match=r"must hold CIFAR10, .* is not there\. Set"):
        load_dataset(DataConfig(**fields))
    assert tried == []
    with pytest.raises(DataError, match=r"not there, and cannot .*no network.* or put"):
        load_dataset(DataConfig(**fields, download=True))
    assert tried == [str(tmp_path)]


@pytest.fixture
def fetched(cifar, tmp_path, monkeypatch):
    """A CIFAR-10 that is elsewhere: the times it was downloaded, file after file."""
    torchvision = pytest.importorskip("torchvision")
    cls, times = torchvision.datasets.CIFAR10, []
    cifar("CIFAR10", 10)
    away = (tmp_path / cls.base_folder).rename(tmp_path / "away")

    def download(dataset):
        if dataset._check_integrity():
            return
        times.append(dataset.root)
        folder = Path(dataset.root, cls.base_folder)
        folder.mkdir(exist_ok=True)
        for file in sorted(away.iterdir()):
            time.sleep(0.02)
            shutil.copy(file, folder)

    monkeypatch.setattr(cls, "download", download)
    return times


def fetching(root):
    return DataConfig(name="cifar10", root=str(root), batch_size=4, download=True)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of a small Fashion-MNIST's archives; the files it was asked for."""
    mnist = pytest.importorskip("torchvision.datasets.mnist")
    away, asked = tmp_path / "away", []
    away.mkdir()

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(away))

        def log_message(self, *_args):
            if self.command == "GET":
                asked.append(self.path)

    def serve(raw):
        resources = []
        for file in sorted(raw.iterdir()):
            archive = away / f"{file.name}.gz"
            archive.write_bytes(gzip.compress(file.read_bytes()))
            resources.append((archive.name, md5(archive)))
        monkeypatch.setattr(mnist.FashionMNIST, "resources", resources)
        return asked

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)) as uri:
        monkeypatch.setattr(mnist.FashionMNIST, "mirrors", [f"{uri}/"])
        yield serve


def fashion_fetched(tmp_path):
    data._load.cache_clear()
    return load_dataset(replace(fashion_config(tmp_path), download=True))


def seen(tmp_path):
    raw = tmp_path / RAW
    return {file.name: file.read_bytes() for file in raw.iterdir() if file.is_file()}


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


def test_what_is_there_stays_where_a_server_sends_something_else(
    fashion, server, tmp_path
):
    fashion()
    server(tmp_path / RAW)
    for archive in (tmp_path / "away").iterdir():
        archive.write_bytes(b"<html>login</html>")
    file = tmp_path / RAW / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    before = seen(tmp_path)
    message = refusal(replace(fashion_config(tmp_path), download=True))
    assert re.search(
        rf"but {file} has .* bytes in place of .*, and cannot be downloaded \(.*File "
        r"not found or corrupted.*\)\. Try again where there is a network, or put",
        message,
    )
    assert {name: seen(tmp_path)[name] for name in before} == before


def test_an_archive_that_is_there_is_unpacked_without_a_network(
    fashion, server, tmp_path
):
    train, test = fashion()
    asked = server(tmp_path / RAW)
    for file in (tmp_path / RAW).iterdir():
        shutil.move(tmp_path / "away" / f"{file.name}.gz", tmp_path / RAW)
        file.unlink()
    assert "unpacks. Set `data.download`" in refusal(fashion_config(tmp_path))
    check_splits(fashion_fetched(tmp_path), train, test, (1, 28, 28))
    assert asked == []


@pytest.mark.parametrize("closed", ["", "FashionMNIST", "file"])
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


def test_a_data_set_is_fetched_once_however_many_want_it(fetched, tmp_path):
    root = tmp_path / "new" / "data"
    start = threading.Barrier(4)

    def load(_number):
        start.wait()
        return load_dataset(fetching(root))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(load, range(4)))
    assert fetched == [str(root)]
    assert all(torch.equal(one.val.images, found[0].val.images) for one in found)
    assert sorted(os.listdir(root)) == [".cifar10.lock", "cifar-10-batches-py"]


HOLD = """\
import sys, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which fetches until its input ends."""
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", HOLD, str(tmp_path / ".cifar10.lock")]
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process


def test_who_finds_another_process_fetching_waits_for_it(fetched, tmp_path, holder):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(load_dataset, fetching(tmp_path))
        time.sleep(0.1)
        assert not waiting.done()
        assert fetched == []
        holder.stdin.close()
        waiting.result()
    assert fetched == [str(tmp_path)]


def test_a_download_of_another_process_that_does_not_end_is_refused(
    fetched, tmp_path, holder, monkeypatch
):
    monkeypatch.setattr(torchvision_reader, "FETCH_WAIT_S", 0.1)
    with pytest.raises(DataError) as caught:
        load_dataset(fetching(tmp_path))
    assert str(caught.value) == (
        "The download of CIFAR10 must end within 0.1 s, but another process still "
        f"holds {tmp_path}/.cifar10.lock. Wait for that process, or end it."
    )
    assert fetched == []


def test_data_that_are_there_are_read_without_the_lock(fetched, tmp_path):
    root = tmp_path / "mount"
    root.mkdir()
    (tmp_path / "away").rename(root / "cifar-10-batches-py")
    load_dataset(fetching(root))
    assert fetched == []
    assert os.listdir(root) == ["cifar-10-batches-py"]


def test_a_root_that_cannot_be_locked_is_fetched_to_without(fetched, tmp_path):
    (tmp_path / ".cifar10.lock").mkdir()
    load_dataset(fetching(tmp_path))
    assert fetched == [str(tmp_path)]


def test_a_root_that_cannot_be_made_is_refused(fetched, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"CIFAR10, but .*file is not the folder that"):
        load_dataset(fetching(tmp_path / "file" / "data"))


def test_a_missing_torchvision_is_refused_with_how_to_get_it(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as if not installed
    with pytest.raises(DataError) as caught:
        load_dataset(DataConfig(name="cifar10"))
    message = str(caught.value)
    assert message.startswith(
        "torchvision must be installed and built for this torch, but importing it "
        "failed (import of torchvision halted"
    )
    assert message.endswith("in one command: pip install torch torchvision.")


def test_data_sets_in_memory_need_no_torchvision(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    load_dataset(DataConfig(name="digits"))
    load_dataset(DataConfig(name="synthetic"))


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


# The fingerprint


def fingerprint(tmp_path, **more):
    data._load.cache_clear()
    config = DataConfig(name="fashion_mnist", root=str(tmp_path), batch_size=4, **more)
    return data_fingerprint(config)


@pytest.mark.parametrize("part", ["train", "t10k"])
@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_one_other_pixel_or_label_gives_another_fingerprint(
    part, kind, fashion, tmp_path
):
    fashion()
    before = fingerprint(tmp_path)
    file = tmp_path / "FashionMNIST" / "raw" / f"{part}-{kind}-ubyte"
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[-1] = (changed[-1] + 1) % 10  # of the last image
    assert sum(a != b for a, b in zip(changed, whole, strict=True)) == 1
    file.write_bytes(changed)
    assert fingerprint(tmp_path) != before
    file.write_bytes(whole)
    assert fingerprint(tmp_path) == before


def test_two_images_in_each_others_place_give_another_fingerprint(fashion, tmp_path):
    (images, targets), _ = fashion()
    before = fingerprint(tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    images[[0, 1]] = images[[1, 0]]
    labels = np.array([targets[1], targets[0], *targets[2:]], dtype=np.uint8)
    write_idx(raw / "train-images-idx3-ubyte", images)
    write_idx(raw / "train-labels-idx1-ubyte", labels)
    assert fingerprint(tmp_path) != before


def test_a_fingerprint_is_of_the_data_and_not_of_their_use(fashion, tmp_path):
    fashion()
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path, num_train=8, augment=True) == before
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "FashionMNIST").rename(moved / "FashionMNIST")
    assert fingerprint(moved) == before
    assert len(before) == 16
    assert int(before, 16) >= 0
