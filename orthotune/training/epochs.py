"""A trial's training to its end, with a line of progress from the start on."""

import time

import torch

from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError
from orthotune.text import duration
from orthotune.training.gpu import is_out_of_memory
from orthotune.training.loop import Trial
from orthotune.training.progress import ProgressLine

PATIENCE_S = 2.0
"""Seconds after which it is shown how much of an epoch is done."""


def train_to_end(
    config: TrialConfig, progress: ProgressLine
) -> tuple[Trial, list[dict[str, float]]]:
    """Train a configuration to its end, on the GPU if there is one.

    Args:
        config: What to train.
        progress: As for `run_epochs`.

    Returns:
        The trial, and the metrics of every epoch.

    Raises:
        ConfigError: If a batch does not fit into memory.
        DataError: If the data set cannot be loaded.
    """
    try:
        trial = Trial(config, "cuda" if torch.cuda.is_available() else "cpu")
        return trial, run_epochs(trial, progress)
    except Exception as err:
        if not is_out_of_memory(err):
            raise
        parts = config.data.num_micro_batches
        raise ConfigError(
            "data.num_micro_batches",
            f"must leave parts of a batch that fit into memory, but with {parts} one "
            "does not. Raise it, or lower data.batch_size.",
        ) from err


def run_epochs(trial: Trial, progress: ProgressLine) -> list[dict[str, float]]:
    """Train a trial to its end.

    Args:
        trial: The trial.
        progress: Shows every epoch, how much is done of one that takes long, and the
            time left.

    Returns:
        The metrics of every epoch that was run.

    Example:
        >>> import io
        >>> fields = {"model.depth": 8, "data.num_train": 64, "training.num_epochs": 2}
        >>> line = ProgressLine(stream=io.StringIO())
        >>> len(run_epochs(Trial(TrialConfig.from_dict(fields)), line))
        2
    """
    num_epochs, before = trial.config.training.num_epochs, trial.epoch
    epochs: list[dict[str, float]] = []
    start = begun = time.monotonic()

    def show(share: float) -> None:
        done = trial.epoch + share
        rate = (time.monotonic() - start) / (done - before)
        within = f"  {share:.0%} of epoch {trial.epoch + 1}" if share else ""
        known = ""
        if epochs:
            train_loss, val_error = (epochs[-1][k] for k in ("train_loss", "val_error"))
            known = f"  train_loss {train_loss:.4f}  val_error {val_error:.4f}"
        progress.show(
            f"epoch {trial.epoch}/{num_epochs}{known}{within}"
            f"  {duration((num_epochs - done) * rate)} left",
            final=trial.finished,
        )

    def on_update(share: float) -> None:
        if time.monotonic() - begun > PATIENCE_S and progress.due():
            show(share)

    trial.on_update = on_update
    while not trial.finished:
        begun = time.monotonic()
        epochs.append(trial.run_epoch())
        show(0.0)
    progress.close()
    return epochs
