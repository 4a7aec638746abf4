"""What the commands share: options, exit codes, and what is printed at the end."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from orthotune.api import STORAGE, default_tracking_uri
from orthotune.commands.completion import completed
from orthotune.config.trial import FIELD_RULES
from orthotune.console import is_heard, note, say
from orthotune.errors import (
    FileError,
    InterruptedStartError,
    OrthotuneError,
    RayLostError,
    StudyStoppedError,
)
from orthotune.schema.yaml_file import parse_value
from orthotune.shipped import shipped_names
from orthotune.storage.redaction import without_secrets
from orthotune.storage.scratch import remove_scratch_folder

if TYPE_CHECKING:
    from orthotune.study.result import StudyResult

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

TENSORBOARD = "tensorboard"
"""The folder for TensorBoard's files by default."""


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """The values of `--set KEY=VALUE`, each read as in a YAML file.

    Raises:
        FileError: If one has no `=`, or its value is not YAML.

    Example:
        >>> parse_settings(["optimizer.lr=1e-3", "data.augment=true"])
        {'optimizer.lr': 0.001, 'data.augment': True}
    """
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise FileError(
                f"--set: must be KEY=VALUE, but got {setting!r}. "
                "For example: --set model.depth=44"
            )
        values[key.strip()] = parse_value(text)
    return values


def run(command: Callable[[], int]) -> int:
    """Run a command; errors made for people become one sentence and exit code 2."""
    try:
        return command()
    except RayLostError as err:
        note(without_secrets(str(err)))
        # Not by the way that Python ends: Ray's threads wait there for what is lost.
        os._exit(EXIT_FAILED)
    except OrthotuneError as err:
        note(without_secrets(str(err)))
        stopped = isinstance(err, StudyStoppedError)
        return EXIT_FAILED if stopped else EXIT_BAD_INPUT
    except InterruptedStartError:
        remove_scratch_folder()
        # As above: a Ray that is half there keeps Python from ending.
        os._exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        note("interrupted.")
        return EXIT_INTERRUPTED


def add_study_options(
    parser: argparse.ArgumentParser, *, folder: str, set_help: str
) -> None:
    """The options of a command that runs what a file describes.

    Args:
        parser: Gets them.
        folder: Where the files are that come with orthotune, and can be named.
        set_help: What `--set` can change.
    """
    file = parser.add_argument("file", metavar="FILE", help="what to run (YAML)")
    completed(file, lambda: shipped_names(folder))
    change = parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=set_help
    )
    completed(change, lambda: [f"{name}=" for name in FIELD_RULES])
    parser.add_argument("--name", help="name of the study; default: the file's")
    add_run_options(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options of a command that runs a study: where, and whether at all."""
    parser.add_argument(
        "--storage",
        default=STORAGE,
        type=os.path.expanduser,  # a shell does not, after an equals sign
        metavar="DIR_OR_URI",
        help="where the study's files go (default: studies)",
    )
    parser.add_argument(
        "--tracking-uri",
        default=default_tracking_uri(),
        metavar="URI",
        help="MLflow store or server (default: $MLFLOW_TRACKING_URI, or ./mlflow.db)",
    )
    parser.add_argument(
        "--address",
        metavar="RAY_ADDRESS",
        help="Ray cluster to run on, HOST:PORT or auto (default: $RAY_ADDRESS, or "
        "one on this machine)",
    )
    parser.add_argument(
        "--tensorboard",
        nargs="?",
        const=TENSORBOARD,
        metavar="DIR",
        help="write files for TensorBoard too (default folder: tensorboard)",
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="print what would run and about how long; start nothing",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="write the report of what there is so far, also while the study runs; "
        "start nothing",
    )


def overrides_of(options: argparse.Namespace) -> dict[str, Any]:
    """What `--set` and `--name` put in place of the file's."""
    overrides = parse_settings(options.set)
    return overrides if options.name is None else {**overrides, "name": options.name}


def import_words(options: argparse.Namespace) -> list[str]:
    """What was typed to import modules of one's own."""
    return [word for one in options.imports for word in ("--import", one)]


def same_study(module: str, options: argparse.Namespace) -> str:
    """The command line that continues the same study.

    Args:
        module: The command's.
        options: Of `add_study_options`.
    """
    words = ["python", "-m", module, options.file, *import_words(options)]
    for setting in options.set:
        words += ["--set", setting]
    if options.name is not None:
        words += ["--name", options.name]
    return shlex.join(words)


def exit_code(outcome: "StudyResult[Any]") -> int:
    """The exit code of a study that has ended or was interrupted."""
    if outcome.interrupted:
        return EXIT_INTERRUPTED
    worked = outcome.worked and outcome.registered != ""
    return EXIT_OK if worked else EXIT_FAILED


def print_troubles(outcome: "StudyResult[Any]") -> None:
    """What is not whole of a study."""
    if outcome.tracking_error is not None:
        say(f"MLflow is incomplete: {outcome.tracking_error}")


def print_next(
    outcome: "StudyResult[Any]", module: str, options: argparse.Namespace
) -> None:
    """How to open MLflow, where the study is there, and how it goes on if it does.

    Args:
        outcome: What the study has come to.
        module: The command's, and its name where that is not enough.
        options: What was typed after it.
    """
    if outcome.ui_command is not None:
        say(f"Start MLflow        {outcome.ui_command}")
    if outcome.ui is not None:
        say(f"Runs, best first    {outcome.ui.runs}")
        say(f"Curves of the best  {outcome.ui.curves}")
        say(f"Report there        {outcome.ui.report}")
    if options.tensorboard is not None:
        folder = shlex.quote(options.tensorboard)
        say(f"TensorBoard         tensorboard --logdir {folder}")
    if not outcome.finished:
        _print_again("Continue it", module, options)
    elif outcome.tracking_error is not None:
        _print_again("Complete MLflow", module, options)


def _print_again(what: str, module: str, options: argparse.Namespace) -> None:
    """The same command, wherever somebody may still read it."""
    words = [sys.executable, "-m", *module.split(), *options.words]
    again = without_secrets(shlex.join(words))
    say(f"{what:<20}{again}")
    if not is_heard():
        note(f"{what.lower()} with: {again}")
