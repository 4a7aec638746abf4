"""Checks of permission, made before anything is opened or changed.

An attempt that fails half-way does harm: SQLite leaves files beside a store that its
owner cannot open any more, and a lock file of ours keeps an owner out.
"""

import os
import stat
from pathlib import Path


def trouble_with(path: Path, *, folder: bool) -> str:
    """Why a path cannot be read and written, or made; an empty string if it can.

    Args:
        path: Absolute.
        folder: Whether it is, or is to be, a folder.

    Returns:
        What must be otherwise, the middle of a sentence.

    Example:
        >>> trouble_with(Path("/dev/null/studies"), folder=True)
        '/dev/null is no folder'
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            return f"{path} is a link to what is not there"
        return trouble_with(path.parent, folder=True)
    except NotADirectoryError:
        return trouble_with(path.parent, folder=True)
    except OSError as err:
        return f"{path} cannot be used ({err.strerror})"
    if folder and not stat.S_ISDIR(mode):
        return f"{path} is no folder"
    if not folder and not stat.S_ISREG(mode):
        return f"{path} is no file"
    needed = os.R_OK | os.W_OK | (os.X_OK if folder else 0)
    return "" if os.access(path, needed) else f"{path} may not be read and written"
