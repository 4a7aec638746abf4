"""The trainable of a study: a trial that survives the death of whatever runs it.

It keeps a checkpoint of its own, with the metrics of every epoch so far. Whoever starts
the same trial again (Ray after a worker's death, the next session after a driver's)
finds it, and reports first what may not have been reported. Errors end a trial as a
result that says so: Ray starts anew only what died without a word.
"""

import math
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch

from orthotune.errors import ConfigError
from orthotune.training.checkpoint import dump_checkpoint
from orthotune.training.config import TrialConfig
from orthotune.training.metrics import METRICS, reportable
from orthotune.tuning.checkpoints import CheckpointFolder
from orthotune.tuning.trainable import OrthoTrainable

STUDY = "study"
"""The key under which a trial of a study is told what it is; no field of a config."""

ERROR = "error"
OUT_OF_MEMORY = "oom"
"""Keys of a result that ends a trial without an epoch: the traceback."""

UNSAVED = "checkpoint_error"
"""Key of a result whose checkpoint could not be written: where and why."""

CHECKPOINT_SHARE = 0.05
"""The share of a trial's time that its checkpoints may take."""

MICRO_BATCHES = "data.num_micro_batches"


def assignment(
    folder: CheckpointFolder, name: str, *, number: int, reported: int
) -> dict[str, Any]:
    """What a trial's config holds under `STUDY`.

    Args:
        folder: Where its checkpoint is.
        name: What it is called.
        number: The trial's number.
        reported: The epochs it has reported in earlier sessions.
    """
    return {
        "number": number,
        "folder": folder.uri,
        "checkpoint": name,
        "reported": reported,
    }


def number_of(config: dict[str, Any]) -> int:
    """The number of a trial in its study, from its config."""
    return config[STUDY]["number"]


class StudyTrainable(OrthoTrainable):
    """One trial of a study; its config holds an `assignment` beside the fields."""

    def setup(self, config: dict[str, Any]) -> None:
        """Build the trial, and continue it where its checkpoint is."""
        self._fields = {name: v for name, v in config.items() if name != STUDY}
        self._task = config[STUDY]
        self._folder = CheckpointFolder(self._task["folder"])
        self._failure: dict[str, Any] | None = None
        self._retried = False
        self._unsaved, self._saved_at, self._saving_s = False, time.monotonic(), 0.0
        self._guard(self._build)

    def step(self) -> dict[str, Any]:
        """Report an epoch: one the checkpoint knows, or a new one."""
        if self._failure is None and not self._replay:
            self._guard(self._advance)
        if self._failure is not None:
            return {**_WORST, **self._failure, "done": True}
        return self._replay.pop(0)

    def cleanup(self) -> None:
        """Keep what was trained since the last checkpoint: the study may be ending."""
        if self._failure is None and self._unsaved:
            self._save()

    def _guard(self, call: Callable[[], None]) -> None:
        """Call a method; lack of memory is met once by smaller parts."""
        try:
            call()
            return
        except Exception as err:  # becomes a result, with its traceback
            memory = is_out_of_memory(err)
            key = OUT_OF_MEMORY if memory else ERROR
            self._failure = {key: traceback.format_exc()}
        # Out of the except clause, which holds on to every tensor of the failed frames.
        if memory and not self._retried and self._halve():
            self._retried, self._failure = True, None
            self._guard(self._rebuild)
            if self._failure is None and call != self._build:
                self._guard(call)

    def _build(self) -> None:
        super().setup(self._fields)
        self._history: list[dict[str, Any]] = []
        state = self._folder.load(self._task["checkpoint"])
        if state is not None:
            self._trial.load_state_dict(state["trial"])
            self._history = state["history"]
        reported = self._task["reported"]
        self._replay = [epoch for epoch in self._history if epoch["epoch"] > reported]

    def _halve(self) -> bool:
        """Ask for the same batch in twice as many parts; whether it has so many."""
        parts = TrialConfig.from_dict(self._fields).data.num_micro_batches
        smaller = {**self._fields, MICRO_BATCHES: 2 * parts}
        try:
            TrialConfig.from_dict(smaller)
        except ConfigError:
            return False
        self._fields = smaller
        return True

    def _rebuild(self) -> None:
        """The trial as the checkpoint has it, and nothing of the one before."""
        vars(self).pop("_trial", None)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._build()

    def _advance(self) -> None:
        result = super().step()
        self._history.append(result)
        self._unsaved = not result["diverged"]
        if self._unsaved and (result["done"] or self._due()):
            result = result | self._save()
        self._replay.append(result)

    def _due(self) -> bool:
        since_s = time.monotonic() - self._saved_at
        return self._saving_s <= CHECKPOINT_SHARE * since_s

    def _save(self) -> dict[str, str]:
        """Write the checkpoint; what went wrong, as part of a result.

        A trial goes on without: it is the study that must be told.
        """
        start = time.monotonic()
        state = {"trial": self._trial.state_dict(), "history": self._history}
        try:
            self._folder.write(self._task["checkpoint"], dump_checkpoint(state))
        except OSError as err:
            return {UNSAVED: f"{self._folder.uri}: {err.strerror or err}"}
        self._saved_at = time.monotonic()
        self._saving_s, self._unsaved = self._saved_at - start, False
        return {}


def is_out_of_memory(err: Exception) -> bool:
    """Whether an error says that memory, of a GPU or of the host, ran out.

    Example:
        >>> is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
        True
        >>> is_out_of_memory(RuntimeError("shape mismatch"))
        False
    """
    if isinstance(err, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(err, RuntimeError) and any(word in str(err) for word in words)


_WORST = {name: reportable(name, math.nan, diverged=True) for name in METRICS}
"""Ray demands the metric in every result, also in one that says there is none."""
