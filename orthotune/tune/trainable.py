"""The trial as a Ray Tune Trainable, for the search and for one's own Tuner."""

import socket
from pathlib import Path
from typing import Any

import torch
from ray import tune

from orthotune.cluster.nodes import as_started
from orthotune.config.trial import TrialConfig
from orthotune.errors import GpuMissingError
from orthotune.training import gpu
from orthotune.training.checkpoint import load_checkpoint, save_checkpoint
from orthotune.training.loop import Trial

CHECKPOINT = "trial.pt"


class OrthoTrainable(tune.Trainable):
    """One training iteration is one epoch of one `Trial`.

    The config is a flat dict of `TrialConfig` fields by dotted name; what is left out
    has its default. Every result holds the `METRICS`, all finite, and `epoch`. A
    diverged trial ends as a result with `diverged = 1`, never as an error. A reused
    actor starts each trial from nothing: its metrics are those of a fresh one.

    Example:
        ::

            tuner = tune.Tuner(
                OrthoTrainable,
                param_space={
                    "model.depth": tune.choice([20, 44]),
                    "optimizer.lr": tune.loguniform(1e-3, 1e-1),
                    "training.num_epochs": 10,
                },
                tune_config=tune.TuneConfig(
                    metric="val_error", mode="min", num_samples=8, reuse_actors=True
                ),
            )
            best = tuner.fit().get_best_result()
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Build the trial; on the GPU if Ray has given one."""
        fields = dict(config)
        fields["data.root"] = as_started(TrialConfig.from_dict(fields).data.root)
        vars(self).pop("_trial", None)  # of before: there may be no room for two
        device = self._device()
        if device == "cuda":
            gpu.make_room(self._gpus() or 1.0, self._needed_bytes())
        self._trial = Trial(TrialConfig.from_dict(fields), device)

    def _device(self) -> str:
        """Where to train.

        Raises:
            GpuMissingError: If Ray has given a GPU that torch cannot use.
        """
        granted = self._gpus()
        if granted == 0:  # Ray leaves every GPU visible then
            return "cpu"
        if torch.cuda.is_available():
            return "cuda"
        if granted:  # a core would take days for it, and say nothing
            raise GpuMissingError(
                "A trial must be able to use the GPU that Ray has given it on "
                f"{socket.gethostname()}, but torch {torch.__version__} sees none "
                "there. Install a torch and a driver that fit each other, or set "
                "`resources.gpus` to 0."
            )
        return "cpu"

    def _gpus(self) -> float | None:
        """The GPUs Ray has given to the trial; None outside of Ray."""
        granted = self.trial_resources
        return None if granted is None else granted.required_resources.get("GPU", 0)

    def _needed_bytes(self) -> int | None:
        """The memory that its tensors take on a GPU; None if nobody has measured it."""
        return None

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        metrics = self._trial.run_epoch()
        return {
            **metrics,
            "epoch": self._trial.epoch,
            "done": self._trial.finished,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the whole training state into a folder."""
        save_checkpoint(Path(checkpoint_dir, CHECKPOINT), self._trial.state_dict())

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Continue from a folder; the rest is as if training had never stopped."""
        self._trial.load_state_dict(load_checkpoint(Path(checkpoint_dir, CHECKPOINT)))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this actor, from nothing."""
        self.setup(new_config)
        return True
