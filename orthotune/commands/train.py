"""python -m orthotune.train: one trial, without Ray and MLflow.

The configuration is a YAML file of dotted names, such as the `best.yaml` a search
leaves; without one, the defaults. Progress goes to standard error.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orthotune.commands.common import EXIT_OK, parse_settings, run
from orthotune.config.trial import TrialConfig, check_field
from orthotune.config.yaml_file import read_mapping
from orthotune.console import say
from orthotune.errors import ConfigError, FileError
from orthotune.text import duration
from orthotune.training.progress import ProgressLine

if TYPE_CHECKING:
    from orthotune.training.loop import Trial


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


def read_config(path: str | None, settings: dict[str, Any]) -> TrialConfig:
    """The configuration of a file with single fields set over it.

    Raises:
        FileError: If the file cannot be read, or holds what no field may; with its
            line.
        ConfigError: If a setting is not allowed.
    """
    for name, value in settings.items():
        check_field(name, value)
    if path is None:
        return TrialConfig.from_dict(settings)
    file = read_mapping(path)
    for name, value in file.data.items():
        try:
            check_field(name, value)
        except ConfigError as err:
            raise FileError(f"{file.where(name)}: {err}") from err
    try:
        return TrialConfig.from_dict({**file.data, **settings})
    except ConfigError as err:
        if err.field in file.data and err.field not in settings:
            raise FileError(f"{file.where(err.field)}: {err}") from err
        raise


def _train(options: argparse.Namespace) -> int:
    config = read_config(options.config, parse_settings(options.set))
    import torch  # it loads once the file is valid

    from orthotune.training.gpu import is_out_of_memory
    from orthotune.training.loop import Trial

    try:
        trial = Trial(config, "cuda" if torch.cuda.is_available() else "cpu")
        metrics = _trained(trial)
    except Exception as err:
        if not is_out_of_memory(err):
            raise
        parts = config.data.num_micro_batches
        raise ConfigError(
            "data.num_micro_batches",
            f"must leave parts of a batch that fit into memory, but with {parts} one "
            "does not. Raise it, or lower data.batch_size.",
        ) from err
    if options.json:
        say(json.dumps({"epoch": trial.epoch, **metrics}))
        return EXIT_OK
    for name, value in metrics.items():
        say(f"{name:24} {value:.6g}")
    if trial.diverged:
        say(f"The trial diverged in epoch {trial.epoch}: loss or weights not finite.")
    return EXIT_OK


def _trained(trial: "Trial") -> dict[str, float]:
    """The metrics of the last epoch, after all of them."""
    progress, num_epochs = ProgressLine(), trial.config.training.num_epochs
    start, metrics = time.monotonic(), {}
    while not trial.finished:
        metrics = trial.run_epoch()
        left = num_epochs - trial.epoch
        rate = (time.monotonic() - start) / trial.epoch
        progress.show(
            f"epoch {trial.epoch}/{num_epochs}"
            f"  train_loss {metrics['train_loss']:.4f}"
            f"  val_error {metrics['val_error']:.4f}"
            f"  {duration(left * rate)} left",
            final=trial.finished,
        )
    progress.close()
    return metrics
