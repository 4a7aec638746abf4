"""Class folders of images: `root/class/*.jpg`, or such folders below `root/train`, ...

Letters: `N` images.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from orthotune.data.dataset import LazySource
from orthotune.errors import DataMissingError, DataUnreadableError
from orthotune.readers.image_files import ImageFiles
from orthotune.readers.settings import ImageFolderConfig

PARTS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}
"""Folders of the root that are no classes, if the first and another are there."""

SUFFIXES = (".jpg", ".jpeg", ".png")

OTHERS_LEAVE = ("thumbs.db", "desktop.ini", "__macosx")
"""Names that file managers write beside images, in lower case; hidden files too."""

Trail = tuple[tuple[int, int], ...]
"""Folders, each inside the one before, by device and number."""


def image_folder(settings: ImageFolderConfig, root: Path) -> LazySource:
    """The images of a folder of class folders, in the order of their names.

    The classes are numbered by name. Where `root` has the folders `train` and `val` or
    `test` (or both) the class folders are in these; the parts that are not there are
    taken from `train`.

    Args:
        settings: What images are brought to.
        root: The folder.

    Raises:
        DataMissingError: If there is no such folder.
        DataUnreadableError: If it does not hold classes of images.
    """
    found = {name: _class_files(root / name) for name in _part_folders(root)}
    classes = _classes(found, root)
    listed = [
        (name, classes.index(label), PARTS.get(part, 0))
        for part, by_class in found.items()
        for label, files in by_class.items()
        for name in (os.path.join(part, file) for file in files)
    ]
    images = ImageFiles(root, [name for name, _, _ in listed], settings)
    return LazySource(
        images=images,
        targets=np.array([target for _, target, _ in listed], dtype=np.int64),
        parts=np.array([part for _, _, part in listed], dtype=np.int64),
        num_classes=len(classes),
        flips=settings.flips,
        digest=images.digest,
    )


def _part_folders(root: Path) -> Sequence[str]:
    """The folders of the root that hold class folders: its own, or its parts."""
    names = [name for name, is_folder in _entries(root) if is_folder]
    parts = [name for name in names if name in PARTS]
    if "train" not in parts or len(parts) < 2:
        return [""]
    codes = [PARTS[name] for name in parts]
    if len(set(codes)) < len(codes):
        raise _refusal(
            f"{root} holds the folders {', '.join(parts)}",
            "Keep one folder for validation",
        )
    others = [name for name in names if name not in PARTS]
    if others:
        raise _refusal(
            f"{root / others[0]} stands beside {', '.join(parts)}", "Move it away"
        )
    return sorted(parts, key=PARTS.__getitem__)


def _class_files(folder: Path) -> dict[str, list[str]]:
    """The files of each class folder, below the folder, in the order of their names."""
    found = {}
    for name, is_folder in _entries(folder):
        if is_folder:
            found[name] = list(_files(folder, name, _trail(folder, ())))
            if not found[name]:
                raise _refusal(
                    f"{folder / name} holds no image", "Fill it, or delete it"
                )
        elif name.lower().endswith(SUFFIXES):
            raise _refusal(f"{folder / name} is in no class folder", "Move it into one")
    return found


def _classes(found: dict[str, dict[str, list[str]]], root: Path) -> list[str]:
    """The names of the classes; those of the first part, the one to train with."""
    part, by_class = next(iter(found.items()))
    if len(by_class) < 2:
        held = f"only {next(iter(by_class))}" if by_class else "none"
        raise _refusal(
            f"{root / part} holds {held}", "Make a folder a class, images inside"
        )
    for other, others in found.items():
        for name in others:
            if name not in by_class:
                raise _refusal(
                    f"{root / other / name} is a class without images in {root / part}",
                    "Add some, or delete it",
                )
    return sorted(by_class)


def _files(folder: Path, name: str, trail: Trail) -> Iterator[str]:
    """The images below a class folder, as paths below what holds the classes."""
    trail = _trail(folder / name, trail)
    for leaf, is_folder in _entries(folder / name):
        below = os.path.join(name, leaf)
        if is_folder:
            yield from _files(folder, below, trail)
        elif leaf.lower().endswith(SUFFIXES):
            yield below
        else:
            raise _refusal(
                f"{folder / below} is none by its name", "Convert it, or move it away"
            )


def _trail(folder: Path, trail: Trail) -> Trail:
    """The folders from the first to this one, each once."""
    found = folder.stat()
    here = (found.st_dev, found.st_ino)
    if here in trail:
        raise _refusal(f"{folder} leads back to a folder above it", "Delete this link")
    return (*trail, here)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """The names in a folder, sorted, each with whether it is a folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry.name, _is_folder(entry))
                for entry in entries
                if not entry.name.startswith(".")
                and entry.name.lower() not in OTHERS_LEAVE
            )
    except FileNotFoundError as err:
        raise DataMissingError(
            f"`data.root` must hold a folder of images a class, but {folder} is not "
            "there. Make it, or give another `data.root`."
        ) from err
    except NotADirectoryError as err:
        raise _refusal(f"{folder} is no folder", "Give another `data.root`") from err
    except OSError as err:
        path = err.filename or folder
        raise _refusal(
            f"{path} cannot be read ({err.strerror})", "Mend it, or move it away"
        ) from err


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder; what is neither that nor a file is refused."""
    if entry.is_dir():
        return True
    if entry.is_file():
        return False
    problem = "is neither file nor folder"
    if entry.is_symlink():
        problem = "is a link to what is not there"
    raise _refusal(f"{entry.path} {problem}", "Move it away")


def _refusal(problem: str, remedy: str) -> DataUnreadableError:
    return DataUnreadableError(
        "`data.root` must hold two or more folders of JPEG or PNG images, one a class, "
        f"but {problem}. {remedy}."
    )
