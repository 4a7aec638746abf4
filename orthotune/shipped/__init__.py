"""The search spaces and ablations that come with orthotune, as files.

Links to those of the checkout's `search_spaces/` and `ablations/`: a wheel has copies.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDERS = ("search_spaces", "ablations")


def shipped_files() -> list[Path]:
    """All of them, search spaces first.

    Example:
        >>> [path.name for path in shipped_files()][:2]
        ['cifar10_modulation.yaml', 'depth.yaml']
    """
    here = Path(__file__).parent
    return [path for name in FOLDERS for path in sorted((here / name).glob("*.yaml"))]


def shipped_names(folder: str) -> list[str]:
    """What the files of one of the folders are called.

    Example:
        >>> "modulation" in shipped_names("search_spaces")
        True
    """
    return [path.stem for path in shipped_files() if path.parent.name == folder]


def found_file(
    file: str | os.PathLike[str] | Mapping[str, Any], folder: str | None = None
) -> str | Mapping[str, Any]:
    """A file as a path: that of a shipped one, where there is no such file.

    Args:
        file: A path, or the name of a shipped file (`modulation`, `ablations/depth`,
            `ablations/depth.yaml`); or what a file holds, which is given back.
        folder: Where shipped ones are looked for; in both by default.

    Example:
        >>> found_file("modulation").endswith("search_spaces/modulation.yaml")
        True
        >>> found_file("nowhere.yaml")
        'nowhere.yaml'
    """
    if isinstance(file, Mapping):
        return file
    path = os.fspath(file)
    if not os.path.exists(path):
        for one in shipped_files():
            inside = f"{one.parent.name}/{one.stem}"
            names = (one.stem, inside, f"{inside}.yaml")
            if folder in (None, one.parent.name) and path in names:
                return str(one)
    return path
