"""The trial as a Ray Tune Trainable, for the search and for one's own Tuner."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from orthotune.cluster.nodes import as_started
from orthotune.config.nested import flattened
from orthotune.config.plugins import import_plugins
from orthotune.config.takeover import changeable, taken_over
from orthotune.config.trial import TrialConfig
from orthotune.errors import GpuMissingError
from orthotune.training import gpu
from orthotune.training.checkpoint import (
    config_of,
    load_checkpoint,
    save_checkpoint,
)
from orthotune.training.loop import Trial

CHECKPOINT = "trial.pt"

IMPORTS = "imports"
"""Key of a config, beside the fields: modules that register what the fields name."""

LAST_RESULT = "last_result"
"""Key of a checkpoint, beside the trial's state: what was reported last."""


class OrthoTrainable(tune.Trainable):
    """One training iteration is one epoch of one `Trial`.

    The config holds `TrialConfig` fields by dotted name (`model.depth`), in sections
    (`{"model": {"depth": 8}}`), or both; what is left out has its default. Every result
    holds the `METRICS`, all finite, and `epoch`. `"imports": ["my_net"]` imports what
    registers a network of one's own, on every worker. A diverged trial ends as a result
    with `diverged = 1`, never as an error. A trial that has ended says so again when
    it is stepped once more. A reused actor starts each trial from nothing: its metrics
    are those of a fresh one.

    A trial may go on from another's checkpoint, as schedulers like
    PopulationBasedTraining want it. The settings that can change in training
    (`CHANGEABLE`) are then the config's own from that epoch on; the checkpoint knows
    what they were before.

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
        import_plugins(fields.pop(IMPORTS, ()), as_started("."))
        self._start(flattened(fields))
        self._last: dict[str, Any] | None = None

    def _start(self, fields: Mapping[str, Any]) -> None:
        """Build the trial of some fields by dotted name."""
        fields = dict(fields)
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
        """Train one epoch; a trial that has ended reports its last one again."""
        if not self._trial.finished:
            self._last = self._result(self._trial.run_epoch())
        elif self._last is None:  # its checkpoint is of a version that kept none
            state = {"diverged": float(self._trial.diverged)}
            self._last = self._result(self._trial.measure() | state)
        return self._last

    def _result(self, metrics: dict[str, float]) -> dict[str, Any]:
        trial = self._trial
        return {**metrics, "epoch": trial.epoch, "done": trial.finished}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the whole training state into a folder."""
        state = {**self._trial.state_dict(), LAST_RESULT: self._last}
        save_checkpoint(Path(checkpoint_dir, CHECKPOINT), state)

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Continue from a folder; the rest is as if training had never stopped.

        The state may be another trial's: what may change in training is as this trial
        has it from here on.

        Raises:
            CheckpointError: If it is damaged, or differs in anything else.
        """
        state = load_checkpoint(Path(checkpoint_dir, CHECKPOINT))
        ours, theirs = self._trial.config, config_of(state)
        self._go_on(taken_over(ours, theirs, state["epoch"]), state)
        self._last = state.get(LAST_RESULT)

    def _go_on(self, config: TrialConfig, state: dict[str, Any]) -> None:
        """Continue from a state whose configuration may differ in what can change."""
        if config != self._trial.config:
            self._start(config.to_dict())
        settings = changeable(self._trial.config.to_dict())
        state = state | {"config": {**state["config"], **settings}}
        self._trial.load_state_dict(state)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this actor, from nothing."""
        self.setup(new_config)
        return True
