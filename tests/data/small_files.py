"""Small data sets in the formats of torchvision's files, and what is said of them."""

import hashlib
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orthotune.config.sections import DataConfig
from orthotune.data import datasets as data
from orthotune.data.datasets import load_dataset
from orthotune.errors import DataUnreadableError


def splits(dataset):
    return dataset.train, dataset.val, dataset.test


def keys(images, targets):
    """Each image with its class as bytes, to count and compare."""
    return [
        (image.tobytes(), int(target))
        for image, target in zip(np.asarray(images), np.asarray(targets), strict=True)
    ]


RAW = Path("FashionMNIST", "raw")


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


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim)  # 8: unsigned bytes
    header += struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.tobytes())


def fashion_config(tmp_path):
    return DataConfig(name="fashion_mnist", root=str(tmp_path), batch_size=4)


def refusal(config):
    data._load.cache_clear()
    with pytest.raises(DataUnreadableError) as caught:
        load_dataset(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def fashion_fetched(tmp_path):
    data._load.cache_clear()
    return load_dataset(replace(fashion_config(tmp_path), download=True))


def seen(tmp_path):
    raw = tmp_path / RAW
    return {file.name: file.read_bytes() for file in raw.iterdir() if file.is_file()}
