"""python -m orthotune.pack: gather what a job on a cluster needs.

A cluster has no checkout: the folder that is written holds the package, the study's
file, and where both come from (commit, local changes, versions of all packages), which
every run in MLflow then says. Prints the `ray job submit` that sends it. Exit codes: 0;
2 for bad input.
"""

import argparse
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orthotune
from orthotune.commands.common import EXIT_OK, overrides_of
from orthotune.commands.parsing import Command, add_import_option
from orthotune.config.plugins import module_name, shipment, write_files
from orthotune.console import say
from orthotune.design.ablation_file import read_ablation
from orthotune.errors import FileError
from orthotune.record.provenance import PACKED, packed_text
from orthotune.schema.yaml_file import read_mapping
from orthotune.shipped import found_file
from orthotune.study.study_file import read_study


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, write the folder, print; the exit code."""
    return COMMAND.main("python -m orthotune.pack", arguments)


def _configure(parser: argparse.ArgumentParser) -> None:
    add_import_option(parser)
    parser.add_argument("file", metavar="FILE", help="what is to run (YAML)")
    parser.add_argument(
        "--to",
        default="packed",
        metavar="DIR",
        help="folder to write, new or written by this command (default: packed)",
    )
    parser.set_defaults(set=[], name=None)


def _pack(options: argparse.Namespace) -> int:
    options.file = str(found_file(options.file))
    module = _module(options)
    file, folder = Path(options.file), Path(options.to)
    try:
        _check_folder(folder, file)
        _write(folder.resolve(), file)
    except OSError as err:
        raise FileError(
            f"--to must be a folder that can be written, but {folder}: {_reason(err)}. "
            "Choose another one."
        ) from err
    name = file.name
    submit = ["ray", "job", "submit", "--address", "http://127.0.0.1:8265"]
    submit += ["--working-dir", str(folder), "--", "python", "-m", module, name]
    for one in options.imports:
        submit += ["--import", module_name(one)]
    say(f"Packed              {folder}")
    say(
        f"Submit it           {shlex.join(submit)} --address auto "
        "--storage s3://BUCKET/studies --tracking-uri http://MLFLOW:5000"
    )
    return EXIT_OK


def _check_folder(folder: Path, file: Path) -> None:
    """Refuse a folder whose replacement would destroy what is the user's."""
    if folder.exists() and not (folder / "orthotune" / PACKED).exists():
        raise FileError(
            f"--to must be a new folder, or one that this command wrote, but {folder} "
            "is another. Choose a new one."
        )
    target, package = folder.resolve(), _package()
    # A file can be a link, into the folder or out of it.
    for packed in (package, file.resolve(), file.parent.resolve() / file.name):
        if packed.is_relative_to(target) or target.is_relative_to(package):
            raise FileError(
                "--to must be a folder apart from what is packed, but got "
                f"{folder} for {packed}. Choose another one."
            )


def _write(target: Path, file: Path) -> None:
    """Write the pack beside its place, then put it there: it is whole or as it was."""
    around = next(path for path in target.parents if path.exists())
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=around) as beside:
        new, old = Path(beside, "new"), Path(beside, "old")
        ignored = shutil.ignore_patterns("__pycache__", PACKED)
        shutil.copytree(_package(), new / "orthotune", ignore=ignored)
        (new / "orthotune" / PACKED).write_text(packed_text())
        shutil.copy(file, new)
        sent = shipment()
        if sent is not None:
            write_files(sent.files, new)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise


def _package() -> Path:
    return Path(orthotune.__file__).parent.resolve()


def _reason(err: OSError) -> str:
    """Why, in a few words; of a copy that failed, why the first file did."""
    if isinstance(err, shutil.Error):
        return str(err.args[0][0][-1])
    return err.strerror or str(err)


def _module(options: argparse.Namespace) -> str:
    """The command that runs the file, which is read as that command would."""
    content = read_mapping(options.file).data
    if isinstance(content.get("full", content.get("baseline")), str):
        raise FileError(
            f"{options.file}: must hold its reference to be packed, but names a file. "
            "Put the fields of that file in its place."
        )
    if "question" in content:
        read_ablation(options.file, overrides_of(options))
        return "orthotune.ablate"
    read_study(options.file, overrides_of(options))
    return "orthotune.search"


COMMAND = Command(
    name="pack",
    summary="Gather what a job on a cluster needs: package, study, provenance.",
    examples=(
        "orthotune pack modulation",
        "orthotune pack my_space.yaml --to job",
    ),
    configure=_configure,
    execute=_pack,
)
