import gzip
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from orthotune.config.sections import DataConfig
from orthotune.data.datasets import data_fingerprint, load_dataset
from orthotune.errors import DataError
from orthotune.readers import torchvision_reader
from tests.data.small_files import (
    RAW,
    check_splits,
    fashion_config,
    fashion_fetched,
    refusal,
    seen,
)

CIFAR = "cifar-10-batches-py"
NAMES = {
    "CIFAR10": [
        *(f"{CIFAR}/data_batch_{k}" for k in range(1, 6)),
        *(f"{CIFAR}/{name}" for name in ("test_batch", "batches.meta")),
    ],
    "CIFAR100": [f"cifar-100-python/{name}" for name in ("train", "test", "meta")],
    "SVHN": ["train_32x32.mat", "test_32x32.mat"],
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cifar10", "CIFAR10"),
        ("cifar100", "CIFAR100"),
        ("svhn", "SVHN"),
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


def test_what_is_missing_of_fashion_mnist_is_said_file_by_file(tmp_path, fresh):
    pytest.importorskip("torchvision")
    with pytest.raises(DataError) as caught:
        load_dataset(DataConfig(name="fashion_mnist", root=str(tmp_path)))
    assert str(caught.value) == (
        f"`data.root` must hold FashionMNIST, but {tmp_path}/FashionMNIST is not there."
        " Set `data.download` to true where there is a network, or put torchvision's "
        f"files into {tmp_path} or its FashionMNIST/raw, gzipped or not: "
        "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
        "t10k-labels-idx1-ubyte."
    )


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
    check_splits(fashion_fetched(tmp_path), train, test, (1, 28, 28))
    assert asked == []
    assert all(name.endswith(".gz") for name in seen(tmp_path))


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


LAYOUTS = ["FashionMNIST/raw", "."]


@pytest.mark.parametrize("folder", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_is_read_wherever_its_files_lie(
    folder, packed, fashion, tmp_path
):
    train, test = fashion()
    before = data_fingerprint(fashion_config(tmp_path))
    files = sorted((tmp_path / RAW).iterdir())
    root = tmp_path / "elsewhere"
    (root / folder).mkdir(parents=True)
    for file in files:
        content = file.read_bytes()
        name = f"{file.name}.gz" if packed else file.name
        content = gzip.compress(content) if packed else content
        (root / folder / name).write_bytes(content)
    names = sorted(str(path) for path in root.rglob("*"))
    check_splits(load_dataset(fashion_config(root)), train, test, (1, 28, 28))
    assert data_fingerprint(fashion_config(root)) == before
    assert sorted(str(path) for path in root.rglob("*")) == names


def test_a_whole_layout_is_read_beside_a_broken_one(fashion, tmp_path):
    train, test = fashion()
    for file in list((tmp_path / RAW).iterdir()):
        shutil.copy(file, tmp_path)
        file.write_bytes(file.read_bytes()[:100])
    check_splits(load_dataset(fashion_config(tmp_path)), train, test, (1, 28, 28))


def test_the_file_that_a_layout_lacks_is_named(fashion, tmp_path):
    fashion()
    for file in list((tmp_path / RAW).iterdir()):
        archive = gzip.compress(file.read_bytes())
        (tmp_path / f"{file.name}.gz").write_bytes(archive)
    shutil.rmtree(tmp_path / "FashionMNIST")
    lost = tmp_path / "t10k-labels-idx1-ubyte"
    lost.with_name(f"{lost.name}.gz").unlink()
    assert f"but {lost} is not there. Set" in refusal(fashion_config(tmp_path))


def test_debians_fashion_mnist_is_torchvisions(tmp_path, fresh):
    """Where Debian's package is installed; torchvision reads it unpacked."""
    mnist = pytest.importorskip("torchvision.datasets.mnist")
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    (tmp_path / RAW).mkdir(parents=True)
    for archive in folder.glob("t10k-*.gz"):
        file = tmp_path / RAW / archive.stem
        file.write_bytes(gzip.decompress(archive.read_bytes()))
        shutil.copy(file, file.with_name(file.name.replace("t10k", "train")))
    theirs = mnist.FashionMNIST(str(tmp_path), train=False)
    ours = load_dataset(DataConfig(name="fashion_mnist", root=str(folder))).test
    assert torch.equal(ours.images[:, 0], theirs.data)
    assert torch.equal(ours.targets, theirs.targets)
