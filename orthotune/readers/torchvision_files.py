"""torchvision's files of a data set: which they are, and what is wrong with one.

torchvision says of all of them together that they are "not found or corrupted", and of
some it checks only that they are there: a web page that was saved under the name of
Fashion-MNIST's images is taken for them, by a download as well.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthotune.readers.mnist_format import IMAGES, LABELS, NAMES, read_idx

Kind = Any
"""A class of torchvision's: CIFAR10, CIFAR100, SVHN, or one in MNIST's format."""


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

    Those of MNIST's format may lie as torchvision keeps them or in the root itself, as
    Debian packs them, each compressed or not; where two older files of torchvision's
    are, these are they.

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
    return dict.fromkeys(next(iter(idx_layouts(kind, root)), _older(kind)))


def idx_layouts(kind: Kind, root: Path) -> list[list[str]]:
    """The files in MNIST's format for each way to lay them out, below the root.

    Args:
        kind: The data set.
        root: Its folder.

    Returns:
        Names of images and labels to train and to test with; first the layout of which
        most files are there, torchvision's own if none is. Nothing where the data set
        is of another format, or files are there that torchvision would rather read.
    """
    if not hasattr(kind, "resources"):
        return []
    if all(os.path.isfile(root / name) for name in _older(kind)):
        return []
    layouts = []
    for folder in (f"{kind.__name__}/raw/", ""):
        found = [_there(root, f"{folder}{name}") for name in NAMES]
        missing = sum(not os.path.lexists(root / name) for name in found)
        layouts.append((missing, found))
    return [found for _, found in sorted(layouts, key=lambda one: one[0])]


def _there(root: Path, name: str) -> str:
    """A file's name, or that of its archive if only this is there."""
    packed = f"{name}.gz"
    only_packed = not os.path.lexists(root / name) and os.path.lexists(root / packed)
    return packed if only_packed else name


def _older(kind: Kind) -> list[str]:
    return [f"{kind.__name__}/processed/{name}.pt" for name in ("training", "test")]


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
        problem = _checksum(path, size, md5) if md5 else _format(path)
    except OSError as err:
        return _unreadable(path, err)
    if not problem:
        return None
    if not size:
        problem = "is empty"
    elif head.lstrip().startswith(b"<"):
        problem = "is a web page"
    return Fault(path=path, problem=problem)


def _checksum(path: Path, size: int, md5: str) -> str:
    from torchvision.datasets.utils import check_integrity

    whole = check_integrity(str(path), md5)
    return "" if whole else f"is another file, or a part of it ({size} bytes)"


def _format(path: Path) -> str:
    """What is wrong with a file in MNIST's format; nothing if it is whole."""
    if path.suffix == ".pt":  # torch's own, which it reads or does not
        return ""
    try:
        read_idx(path)
    except ValueError as err:
        return str(err)
    return ""


def _count_fault(labels: Path) -> Fault | None:
    """The fault of a file with another number of labels than there are images."""
    name = labels.name.removesuffix(".gz").replace(LABELS, IMAGES)
    images = labels.with_name(name)
    if not os.path.lexists(images):
        images = labels.with_name(f"{name}.gz")
    counts = [len(read_idx(path)) for path in (labels, images)]
    if counts[0] == counts[1]:
        return None
    problem = f"holds {counts[0]} labels for the {counts[1]} images in {images.name}"
    return Fault(path=labels, problem=problem)
