"""All there is in folders, to compare before and after."""

import os
from pathlib import Path


def everything(*folders: Path) -> dict[Path, tuple]:
    """Every file and folder below some: whose it is, who may, when changed, content."""
    found = {}
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            status = path.lstat()
            content: object = None
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = path.read_bytes()
            how = status.st_mode, status.st_uid, status.st_mtime_ns
            found[path] = (*how, content)
    return found
