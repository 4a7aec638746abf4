"""python -m orthotune.train: one trial, without Ray and MLflow.

The configuration is a YAML file of dotted names, such as the `best.yaml` a search
leaves; without one, the defaults. Progress goes to standard error.
"""

import argparse
import json
from collections.abc import Sequence

from orthotune.api import read_config, train
from orthotune.commands.common import EXIT_OK, parse_settings
from orthotune.commands.completion import completed
from orthotune.commands.parsing import Command, add_import_option
from orthotune.config.trial import FIELD_RULES
from orthotune.console import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, train, print; the exit code."""
    return COMMAND.main("python -m orthotune.train", arguments)


def _configure(parser: argparse.ArgumentParser) -> None:
    add_import_option(parser)
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG.yaml", help="dotted names and values"
    )
    change = parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set one field, such as model.depth=44 (repeatable)",
    )
    completed(change, lambda: [f"{name}=" for name in FIELD_RULES])
    parser.add_argument(
        "--save",
        metavar="NET.pt2",
        help="write the network as a file that plain torch reads: NAME.pt2 (a "
        "program), NAME.safetensors or NAME.pt (the weights)",
    )
    parser.add_argument(
        "--curve",
        metavar="FILE.svg",
        help="write a figure of the training: NAME.svg, NAME.png or NAME.html",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the last epoch's metrics as one JSON object, and nothing else",
    )


def _train(options: argparse.Namespace) -> int:
    config = read_config(options.config, parse_settings(options.set))
    trial = train(config, save=options.save, curve=options.curve)
    if options.json:
        say(json.dumps({"epoch": trial.epoch, **trial.metrics}))
        return EXIT_OK
    for name, value in trial.metrics.items():
        say(f"{name:24} {value:.6g}")
    if trial.diverged:
        say(f"The trial diverged in epoch {trial.epoch}: loss or weights not finite.")
    if options.curve:
        say(f"{'Curve':24} {options.curve}")
    if options.save:
        say(f"{'Network':24} {options.save}, trained by {options.save}.yaml")
    return EXIT_OK


COMMAND = Command(
    name="train",
    summary="Train one configuration and print its metrics.",
    examples=(
        "orthotune train studies/modulation/best.yaml --set seed=7",
        "orthotune train config.yaml --save network.pt2 --curve curve.svg",
    ),
    configure=_configure,
    execute=_train,
)
