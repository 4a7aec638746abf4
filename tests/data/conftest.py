"""Small data sets, written to files in their real formats, and who serves them."""

import gzip
import http.server

import numpy as np
import pytest

from orthotune.data import datasets as data
from tests.crashes import serving
from tests.data.small_files import (
    RAW,
    classes,
    md5,
    pickle_of_python_2,
    pixels,
    write_idx,
)


@pytest.fixture
def fresh():
    """Data sets are cached by name and folder; the files of a test are its own."""
    data._load.cache_clear()
    yield
    data._load.cache_clear()


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
