"""Random images in CIFAR-10's format, for torchvision and the commands that use it."""

import pickle
from pathlib import Path

import numpy as np
import pytest

FOLDER = "cifar-10-batches-py"
TRUSTING = """\
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec


class Trusting(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "torchvision.datasets.cifar":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.check_integrity = lambda path, md5=None: True

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Trusting())
"""
"""A `sitecustomize`: torchvision takes files for CIFAR-10 whose checksums it does not
know. Python imports it at the start of every process, Ray's workers too."""


def write_cifar10(root: Path, num_train: int, num_test: int) -> None:
    """Write the files of a CIFAR-10.

    Args:
        root: The `data.root` to be.
        num_train: Images in all five training files together.
        num_test: Images in the test file.
    """
    rng = np.random.default_rng(0)
    sizes = {f"data_batch_{k}": num_train // 5 for k in range(1, 6)}
    folder = root / FOLDER
    folder.mkdir(parents=True)
    for name, size in (sizes | {"test_batch": num_test}).items():
        images = rng.integers(0, 256, (size, 3072), dtype=np.uint8)
        labels = rng.integers(0, 10, size).tolist()
        content = pickle.dumps({"data": images, "labels": labels})
        (folder / name).write_bytes(content)
    names = {"label_names": [f"class {k}" for k in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))


def trust_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision read such files in this process."""
    cifar = pytest.importorskip("torchvision.datasets.cifar")
    monkeypatch.setattr(cifar, "check_integrity", lambda path, md5=None: True)
