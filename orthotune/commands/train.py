"""python -m orthotune.train: one trial, without Ray and MLflow.

The configuration is a YAML file of dotted names, such as the `best.yaml` a search
leaves; without one, the defaults. Progress goes to standard error.
"""

import argparse
import json
from collections.abc import Sequence

from orthotune.api import read_config, train
from orthotune.commands.common import EXIT_OK, parse_settings, run
from orthotune.console import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, train, print; the exit code."""
    options = _parser().parse_args(arguments)
    return run(lambda: _train(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orthotune.train",
        description="Train one configuration and print its metrics.",
    )
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG.yaml", help="dotted names and values"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set one field, such as model.depth=44 (repeatable)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the last epoch's metrics as one JSON object, and nothing else",
    )
    return parser


def _train(options: argparse.Namespace) -> int:
    trial = train(read_config(options.config, parse_settings(options.set)))
    if options.json:
        say(json.dumps({"epoch": trial.epoch, **trial.metrics}))
        return EXIT_OK
    for name, value in trial.metrics.items():
        say(f"{name:24} {value:.6g}")
    if trial.diverged:
        say(f"The trial diverged in epoch {trial.epoch}: loss or weights not finite.")
    return EXIT_OK
