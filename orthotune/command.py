"""What the commands share: `--set`, and exit codes for what can go wrong."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from orthotune.errors import FileError, OrthotuneError, StudyStoppedError
from orthotune.training.yaml_file import parse_value

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


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
    except OrthotuneError as err:
        print(f"orthotune: {err}", file=sys.stderr)
        stopped = isinstance(err, StudyStoppedError)
        return EXIT_FAILED if stopped else EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("orthotune: interrupted.", file=sys.stderr)
        return EXIT_INTERRUPTED
