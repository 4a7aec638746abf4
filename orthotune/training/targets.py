"""Files that somebody wants written, checked before the work that they wait for."""

import os
from collections.abc import Sequence
from pathlib import Path

from orthotune.errors import TargetError

NETWORK_SUFFIXES = (".pt2", ".safetensors", ".pt")
"""Of the files of a trained network, as `network_file.py` writes them."""


def check_target(path: str | os.PathLike[str], suffixes: Sequence[str]) -> Path:
    """The path of a file that is going to be written, if it can be.

    Args:
        path: As somebody named it.
        suffixes: One of them must end its name.

    Raises:
        TargetError: If none does, or there is no folder for it that can be written to.

    Example:
        >>> check_target("nowhere/net.pt", [".pt"])
        Traceback (most recent call last):
        orthotune.errors.TargetError: nowhere/net.pt must be in a folder that can be \
written to, but nowhere is none. Make it, or name another.
    """
    target = Path(path).expanduser()
    if target.suffix not in suffixes:
        raise TargetError(
            f"{path} must be a file whose name ends in {' or '.join(suffixes)}, but "
            f"ends in {target.suffix or 'nothing'}. Name it so."
        )
    if not (target.parent.is_dir() and os.access(target.parent, os.W_OK)):
        raise TargetError(
            f"{path} must be in a folder that can be written to, but {target.parent} "
            "is none. Make it, or name another."
        )
    if target.is_dir():
        raise TargetError(f"{path} must be a file, but is a folder. Name another.")
    return target
