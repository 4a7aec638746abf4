"""The trial as a Ray Tune Trainable, for the search and for one's own Tuner."""

import os
from pathlib import Path
from typing import Any

import torch
from ray import tune

from orthotune.training.checkpoint import load_checkpoint, save_checkpoint
from orthotune.training.config import TrialConfig
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
        root = TrialConfig.from_dict(fields).data.root
        # Ray moves a trial into a folder of its own: a relative root is the driver's.
        original = os.environ.get("TUNE_ORIG_WORKING_DIR", "")
        fields["data.root"] = str(Path(original, root))
        self._trial = Trial(TrialConfig.from_dict(fields), self._device())

    def _device(self) -> str:
        # Ray leaves every GPU visible to a trial that was given none.
        granted = self.trial_resources
        if granted is not None and not granted.required_resources.get("GPU"):
            return "cpu"
        return "cuda" if torch.cuda.is_available() else "cpu"

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
