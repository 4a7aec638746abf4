"""orthotune init: write the files that come with orthotune, to change them."""

import argparse
import os
from pathlib import Path

from orthotune.commands.common import EXIT_OK
from orthotune.commands.parsing import Command
from orthotune.console import note, say
from orthotune.errors import FileError
from orthotune.shipped import shipped_files


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        default=".",
        type=os.path.expanduser,
        metavar="FOLDER",
        help="where they go (default: here)",
    )


def _init(options: argparse.Namespace) -> int:
    try:
        for source in shipped_files():
            _write(source, Path(options.folder, source.parent.name, source.name))
    except OSError as err:
        raise FileError(
            f"FOLDER must be a folder that can be written to, but {options.folder}: "
            f"{err.strerror or err}. Choose another one."
        ) from err
    return EXIT_OK


def _write(source: Path, target: Path) -> None:
    """Write a file, unless there is one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        if target.read_bytes() != content:
            note(f"left as it is: {target}")
        return
    say(str(target))


COMMAND = Command(
    name="init",
    summary="Write the search spaces and ablations that come with orthotune, to change "
    "them; what is there stays.",
    examples=("orthotune init", "orthotune init my_studies"),
    configure=_configure,
    execute=_init,
)
