"""Reads a data set from torchvision's files, or downloads them; says what is wrong.

Letters: `N` images of a part, `C` channels, `H`, `W` height and width.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orthotune.errors import DataMissingError, DataUnreadableError
from orthotune.readers.mnist_format import NAMES, read_idx
from orthotune.readers.torchvision_files import (
    Kind,
    fault_of,
    fetch_again,
    files_of,
    forbidden,
    idx_layouts,
)

FETCH_WAIT_S = 600
"""For another process of the same root, which fetches the same data."""

Part = tuple[np.ndarray, np.ndarray]
"""Images `(N, C, H, W)` and classes `(N,)`."""


def read_parts(
    name: str,
    root: Path,
    parts: Sequence[Mapping[str, Any]],
    num_classes: int,
    *,
    download: bool,
) -> list[Part]:
    """The parts of one of torchvision's data sets.

    Args:
        name: torchvision's class.
        root: Folder of its files.
        parts: What the class takes for each part.
        num_classes: Classes.
        download: Whether files that are missing or broken may be fetched.

    Raises:
        DataUnreadableError: If it cannot be read; if another process does not end its
            download of it.
        DataMissingError: If files are missing or broken, and are not or cannot be
            fetched.
    """
    kind = getattr(torchvision_datasets(), name)
    try:
        # Without the lock: what is there already may be on a read-only mount.
        return _read(kind, root, parts, num_classes, download=False)
    except DataMissingError:
        if not download:
            raise
    _check_writable(kind, root)
    with only_fetcher(name, root):
        return _read(kind, root, parts, num_classes, download=True)


def _read(
    kind: Kind,
    root: Path,
    parts: Sequence[Mapping[str, Any]],
    num_classes: int,
    *,
    download: bool,
) -> list[Part]:
    try:
        if download:
            fetch_again(kind, root)
        if idx_layouts(kind, root):
            return _read_idx_files(kind, root)
        found = (kind(root=str(root), download=download, **part) for part in parts)
        return [_arrays(one, num_classes) for one in found]
    except MemoryError:
        raise
    except Exception as err:  # torchvision's, pickle's, scipy's: no common base
        raise _unreadable(kind, root, err, tried=download) from err


def _read_idx_files(kind: Kind, root: Path) -> list[Part]:
    """Both parts of a data set in MNIST's format, by the first layout that is whole.

    Raises:
        Exception: Of any kind, if none is.
    """
    problem: Exception = FileNotFoundError()
    for names in idx_layouts(kind, root):
        try:
            images, labels, *test = (_regular(root / name) for name in names)
            parts = [(images, labels), tuple(test)]
            return [_fitting(one[:, None], other, 10) for one, other in parts]
        except (OSError, ValueError) as err:
            problem = err
    raise problem


def _regular(path: Path) -> np.ndarray:
    """What a file holds; a pipe would be read without end."""
    if not path.is_file():
        raise FileNotFoundError(path)
    return read_idx(path)


@contextlib.contextmanager
def only_fetcher(name: str, root: Path) -> Iterator[None]:
    """Hold the lock under which one process at a time downloads into a root."""
    from filelock import FileLock, Timeout  # which those who do not fetch need not load

    file = root / f".{name.lower()}.lock"
    lock = FileLock(file)
    # A root that cannot be locked, as one that cannot be written, is torchvision's to
    # refuse: its error says what is missing.
    with contextlib.suppress(OSError):
        root.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=FETCH_WAIT_S)
        except Timeout as err:
            raise DataUnreadableError(
                f"The download of {name} must end within {FETCH_WAIT_S} s, but another "
                f"process still holds {file}. Wait for that process, or end it."
            ) from err
    try:
        yield
    finally:
        lock.release()


def _arrays(data: Any, num_classes: int) -> Part:  # noqa: ANN401
    """The images and classes of a part, as torchvision has read it.

    Raises:
        ValueError: If they do not belong together.
    """
    images = np.asarray(data.data)
    targets = np.asarray(data.labels if hasattr(data, "labels") else data.targets)
    return _fitting(_channels_first(images), targets, num_classes)


def _fitting(images: np.ndarray, targets: np.ndarray, num_classes: int) -> Part:
    """Images `(N, C, H, W)` and classes that belong together.

    Raises:
        ValueError: If they do not.
    """
    if not len(images) or targets.shape != (len(images),):
        raise ValueError(f"{len(images)} images and labels of shape {targets.shape}")
    if not np.isin(targets, range(num_classes)).all():
        raise ValueError(f"labels from {targets.min()} to {targets.max()}")
    return images, targets


def _unreadable(
    kind: Kind, root: Path, err: Exception, *, tried: bool
) -> DataUnreadableError:
    """The error for a data set that torchvision cannot read.

    Args:
        kind: The data set.
        root: Where it should be.
        err: What torchvision says.
        tried: Whether it has been downloaded.
    """
    fault, names = fault_of(kind, root), list(files_of(kind, root))
    others = f" and {len(names) - 1} more" if names[1:] else ""
    files, where = f"{names[0]}{others}", f"{root}"
    if idx_layouts(kind, root):
        files = ", ".join(NAMES)
        where = f"{root} or its {kind.__name__}/raw, gzipped or not"
    must = f"`data.root` must hold {kind.__name__}"
    if fault is None:
        return DataUnreadableError(
            f"{must}, but of {root} torchvision says: {_first_line(err)}. Delete what "
            f"is there of {files}, and fetch it again."
        )
    problem = f"{must}, but {fault.path} {fault.problem}"
    if fault.remedy:
        return DataUnreadableError(f"{problem}. {fault.remedy}")
    put = f"put torchvision's files into {where}: {files}"
    if tried:
        why = " ".join(str(err).split()) or type(err).__name__
        return DataMissingError(
            f"{problem}, and cannot be downloaded ({why[:150]}). Try again where there "
            f"is a network, or {put}."
        )
    return DataMissingError(
        f"{problem}. Set `data.download` to true where there is a network, or {put}."
    )


def _check_writable(kind: Kind, root: Path) -> None:
    """Refuse to begin a download that cannot end.

    Raises:
        DataUnreadableError: If a part of the root may not be written to.
    """
    place = forbidden(kind, root)
    if place is not None:
        raise DataUnreadableError(
            f"`data.root` must be writable where {kind.__name__} is to be downloaded, "
            f"but {place} is not. Have its owner do that, or give another `data.root`."
        )


def _first_line(err: Exception) -> str:
    return (str(err) or type(err).__name__).splitlines()[0].rstrip(".")


def _channels_first(images: np.ndarray) -> np.ndarray:
    """Images as `(N, C, H, W)` from `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`."""
    if images.ndim == 3:
        return images[:, None]
    return images if images.shape[1] in (1, 3) else images.transpose(0, 3, 1, 2)


def torchvision_datasets() -> Any:  # noqa: ANN401 - a module
    """The module of torchvision's data sets.

    Raises:
        DataUnreadableError: If torchvision cannot be imported.
    """
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as err:
        # A torchvision built for another torch raises RuntimeError on import.
        raise DataUnreadableError(
            "torchvision must be installed and built for this torch, but importing it "
            f"failed ({_first_line(err)}). Install both in one command: "
            "pip install torch torchvision."
        ) from err
    return datasets
