"""torchvision's files of a data set: which they are, and what is wrong with one.

torchvision says of all of them together that they are "not found or corrupted", and of
some it checks only that they are there: a web page that was saved under the name of
Fashion-MNIST's images is taken for them, by a download as well.
"""

import math
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Kind = Any
"""A class of torchvision's: CIFAR10, CIFAR100, SVHN, or one in MNIST's format."""

LABELS, IMAGES = "labels-idx1", "images-idx3"
"""In the names of files in MNIST's format."""

UBYTE = 8
"""In their headers: what follows are bytes."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The first thing that is wrong: of a file, or of a folder above it.

    Args:
        path: Of that.
        problem: The rest of a sentence about it, such as `is empty`.
        remedy: What to do about it, a sentence; nothing if a download puts it right.
    """

    path: Path
    problem: str
    remedy: str = ""


def files_of(kind: Kind, root: Path) -> dict[str, str | None]:
    """The files of a data set below its root, each with its MD5 if it has one.

    Of MNIST's format torchvision knows only the archives' checksums, and prefers two
    files that an older torchvision has made.

    Example:
        >>> from torchvision.datasets import SVHN
        >>> list(files_of(SVHN, Path("data")))
        ['train_32x32.mat', 'test_32x32.mat']
    """
    if hasattr(kind, "split_list"):
        parts = (kind.split_list[part] for part in ("train", "test"))
        return {name: md5 for _, name, md5 in parts}
    if hasattr(kind, "train_list"):
        meta = (kind.meta["filename"], kind.meta["md5"])
        listed = [*kind.train_list, *kind.test_list, meta]
        return {f"{kind.base_folder}/{name}": md5 for name, md5 in listed}
    older = [f"{kind.__name__}/processed/{name}.pt" for name in ("training", "test")]
    if all(os.path.isfile(root / name) for name in older):
        return dict.fromkeys(older)
    names = (name.removesuffix(".gz") for name, _ in kind.resources)
    return dict.fromkeys(f"{kind.__name__}/raw/{name}" for name in names)


def fault_of(kind: Kind, root: Path) -> Fault | None:
    """What is wrong with the files of a data set; None if nothing is to be seen."""
    files = files_of(kind, root)
    for name, md5 in files.items():
        fault = _way_fault(kind, root, root / name) or _fault(root / name, md5)
        if fault is not None:
            return fault
    labels = (root / name for name in files if LABELS in name)
    return next(filter(None, map(_count_fault, labels)), None)


def fetch_again(kind: Kind, root: Path) -> None:
    """Have torchvision replace files in MNIST's format that are there, but broken.

    Of these alone it downloads nothing where it finds the names. What is there stays
    until there is an archive with the right checksum.

    Raises:
        Exception: Of any kind, if that fails.
    """
    if hasattr(kind, "resources") and fault_of(kind, root) is not None:
        fetcher = kind.__new__(kind)
        fetcher.root, fetcher._check_exists = str(root), lambda: False
        fetcher.download()


def forbidden(kind: Kind, root: Path) -> Path | None:
    """What a download would have to write to and may not: a file or folder; or None.

    Asked before it begins, as what it leaves half-done may be in its owner's way.
    """
    for path in map(root.joinpath, files_of(kind, root)):
        folder = next(folder for folder in path.parents if folder.exists())
        for there in (folder, path):
            if there.exists() and not os.access(there, os.W_OK):
                return there
    return None


def _way_fault(kind: Kind, root: Path, path: Path) -> Fault | None:
    """The fault of a path that does not lead to a file."""
    here = root
    try:
        for part in path.relative_to(root).parts:
            if not stat.S_ISDIR(here.stat().st_mode):
                return _no_folder(here)
            here /= part
        if not stat.S_ISREG(here.stat().st_mode):
            problem = "is not the file that it must be"
            return Fault(path=here, problem=problem, remedy="Move it away.")
    except FileNotFoundError:
        if here.is_symlink():
            problem = "is a link to what is not there"
            return Fault(path=here, problem=problem, remedy="Mend or delete it.")
        return Fault(path=here, problem=_missing(kind, root, here))
    except NotADirectoryError:  # of the root
        return _no_folder(next(path for path in here.parents if path.exists()))
    except OSError as err:
        return _unreadable(here, err)
    return None


def _no_folder(path: Path) -> Fault:
    return Fault(
        path=path,
        problem="is not the folder that it must be",
        remedy="Move it away, or give another `data.root`.",
    )


def _missing(kind: Kind, root: Path, path: Path) -> str:
    archive = path.with_name(f"{path.name}.gz")
    if hasattr(kind, "tgz_md5"):
        archive = root / kind.filename
    if archive.is_file():
        return f"is not there, only {archive} is, which `data.download` unpacks"
    return "is not there"


def _unreadable(path: Path, err: OSError) -> Fault:
    return Fault(
        path=path,
        problem=f"cannot be read ({err.strerror})",
        remedy="Make it readable, or give another `data.root`.",
    )


def _fault(path: Path, md5: str | None) -> Fault | None:
    """The fault of a file's content."""
    try:
        with path.open("rb") as file:
            head, size = file.read(64), path.stat().st_size
        problem = _checksum(path, size, md5) if md5 else _format(path, head, size)
    except OSError as err:
        return _unreadable(path, err)
    if not problem:
        return None
    if not size:
        problem = "is empty"
    elif head.startswith(b"\x1f\x8b"):
        problem = "is compressed (gzip)"
    elif head.lstrip().startswith(b"<"):
        problem = "is a web page"
    return Fault(path=path, problem=problem)


def _checksum(path: Path, size: int, md5: str) -> str:
    from torchvision.datasets.utils import check_integrity

    whole = check_integrity(str(path), md5)
    return "" if whole else f"is another file, or a part of it ({size} bytes)"


def _format(path: Path, head: bytes, size: int) -> str:
    """What is wrong with a file in MNIST's format: a header, and then bytes."""
    if path.suffix == ".pt":  # torch's own, which it reads or does not
        return ""
    num_dims = 1 if LABELS in path.name else 3
    start = 4 + 4 * num_dims
    if size < start or head[:4] != bytes((0, 0, UBYTE, num_dims)):
        return "is no file in MNIST's format"
    whole = start + math.prod(struct.unpack_from(f">{num_dims}I", head, 4))
    if size != whole:
        return f"has {size} bytes in place of {whole}"
    largest = max(path.read_bytes()[start:], default=0) if num_dims == 1 else 0
    return "" if largest < 10 else f"holds the label {largest} of 10 classes from 0"


def _count_fault(labels: Path) -> Fault | None:
    """The fault of a file with another number of labels than there are images."""
    images = labels.with_name(labels.name.replace(LABELS, IMAGES))
    both = (labels.read_bytes()[:8], images.read_bytes()[:8])
    counts = [struct.unpack(">4xI", head)[0] for head in both]
    if counts[0] == counts[1]:
        return None
    problem = f"holds {counts[0]} labels for the {counts[1]} images in {images.name}"
    return Fault(path=labels, problem=problem)
