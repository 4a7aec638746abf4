"""The trainable of a study: a trial that survives the death of whatever runs it.

It keeps a checkpoint of its own, with the metrics of every epoch so far. Whoever starts
the same trial again (Ray after a worker's death, the next session after a driver's)
finds it, and reports first what may not have been reported. Errors end a trial as a
result that says so: Ray starts anew only what died without a word.

A member of a population (`population.py`) may be told by Ray to go on from another
member's state with new settings: the configuration it trains is then the other's, with
the new settings as changes from that epoch on. Trained from scratch, it gives the same.
"""

import math
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orthotune.cluster.preflight import node_problem
from orthotune.config.changes import CHANGEABLE
from orthotune.config.metrics import METRICS, reportable
from orthotune.config.plugins import take
from orthotune.config.takeover import changeable
from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError, DataError, GpuMissingError, PluginError
from orthotune.record.checkpoints import CheckpointFolder, checkpoint_name
from orthotune.record.history import COMPUTED_BY, PROFILES, Profile
from orthotune.record.trial_record import PARTS, SETTING
from orthotune.storage.redaction import without_secrets
from orthotune.storage.scratch import scratch_folder
from orthotune.training.checkpoint import (
    config_of,
    dump_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from orthotune.training.gpu import is_broken, is_out_of_memory
from orthotune.training.signals import signals
from orthotune.tune.assignment import (
    CHANGED_FIELDS,
    ERROR,
    OUT_OF_MEMORY,
    STUDY,
    UNFIT,
    UNSAVED,
)
from orthotune.tune.trainable import CHECKPOINT, OrthoTrainable

STORAGE_WAIT_S = 300.0
"""For a storage that cannot be read. Then the study stops; its trials stay open."""

CHECKPOINT_SHARE = 0.05
"""The share of a trial's time that its checkpoints may take."""


class _UnreadableError(Exception):
    """The storage of checkpoints does not answer."""


class StudyTrainable(OrthoTrainable):
    """One trial of a study, known by its name; its config holds an `assignment`.

    Beside it are the settings that Ray changes, by dotted name, as they are now.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Build the trial, and continue it where its checkpoint is."""
        self._task = config[STUDY]
        self._fields = dict(self._task["fields"])
        self._settings = {
            name: config[field] for name, field in CHANGEABLE.items() if field in config
        }
        self._folder = CheckpointFolder(self._task["folder"])
        self._checkpoint = checkpoint_name(self.trial_name)
        self._failure: dict[str, Any] | None = None
        self._trouble: dict[str, str] = {}
        self._retried, self._parted = False, self._task["parted"]
        self._unsaved, self._saved_at, self._saving_s = False, time.monotonic(), 0.0
        problem = self._not_here()
        if problem:
            self._failure = {UNFIT: problem}
            return
        self._guard(self._build)

    def step(self) -> dict[str, Any]:
        """Report an epoch: one the checkpoint knows, or a new one."""
        if self._failure is None and not self._replay:
            self._guard(self._advance)
        if self._failure is not None:
            # Nothing has ended by a storage that cannot be read, or a node like this.
            done = not {UNSAVED, UNFIT} & self._failure.keys()
            return {**_WORST, **self._failure, "done": done}
        result = {**self._replay.pop(0), **self._trouble}
        self._trouble = {}
        parts = {PARTS: self._fields[PARTS]} if self._parted else {}
        if self._task["member"]:
            parts |= changeable(self._trial.config.to_dict())
        if parts:
            result[CHANGED_FIELDS] = parts
        return result

    def cleanup(self) -> None:
        """Keep what was trained since the last checkpoint: the study may be ending."""
        if self._failure is None and self._unsaved:
            self._trouble |= self._save()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state for Ray, which pauses members and copies them."""
        state = {**self._state(), "name": self.trial_name}
        save_checkpoint(Path(checkpoint_dir, CHECKPOINT), state)
        self._trouble |= self._save()  # what is paused has no worker that would

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Go on from a state of one's own, or from another member's."""
        state = load_checkpoint(Path(checkpoint_dir, CHECKPOINT))
        if self._failure is None:
            self._guard(lambda: self._take_over(state))

    def _not_here(self) -> str:
        """Why this node is not fit for the study; nothing if it is."""
        try:
            take(self._task["plugins"], scratch_folder())
        except PluginError as err:
            return f"{socket.gethostname()} must import the driver's plug-ins: {err}"
        return node_problem(self._task["checked_nodes"])

    def _needed_bytes(self) -> int | None:
        return self._task["gpu_bytes"]

    def _guard(self, call: Callable[[], None]) -> None:
        """Call a method; lack of memory is met once by smaller parts."""
        try:
            call()
            return
        except _UnreadableError as err:
            self._failure = {UNSAVED: str(err)}
            return
        except GpuMissingError as err:
            self._failure = {UNFIT: str(err)}
            return
        except DataError as err:  # the driver has read them: it is the node, or now
            node = socket.gethostname()
            self._failure = {UNFIT: f"{node} must have the data: {err}"}
            return
        except Exception as err:  # becomes a result, with its traceback
            memory, trace = is_out_of_memory(err), traceback.format_exc()
            if is_broken():  # Ray starts another process; this one says why in its log
                self._unsaved = False  # in the middle of an epoch
                sys.stderr.write(without_secrets(trace))
                raise
            key = OUT_OF_MEMORY if memory else ERROR
            self._failure = {key: without_secrets(trace)}
        # Out of the except clause, which holds on to every tensor of the failed frames.
        if memory and not self._retried and self._halve():
            self._retried, self._failure = True, None
            self._guard(self._build)
            if self._failure is None and call != self._build:
                self._guard(call)

    def _build(self) -> None:
        state = self._loaded()
        if state is not None and self._task["member"]:
            # The study may not have heard of the last change.
            self._fields |= changeable(state["trial"]["config"])
        self._start(self._fields)
        self._history: list[dict[str, Any]] = []
        if state is not None:
            self._trial.load_state_dict(state["trial"])
            self._history = state["history"]
        reported = self._task["reported"]
        self._replay = [epoch for epoch in self._history if epoch["epoch"] > reported]
        if self._task["member"] and not self._replay:
            # A new scheduler must hear where the member stands.
            self._replay = self._history[-1:]

    def _loaded(self) -> dict[str, Any] | None:
        """The state in the checkpoint; a storage that fails is asked again for a while.

        Raises:
            _UnreadableError: If it still fails then.
        """
        end = time.monotonic() + STORAGE_WAIT_S
        while True:
            try:
                return self._folder.load(self._checkpoint)
            except OSError as err:
                if time.monotonic() > end:
                    place = self._folder.place(self._checkpoint)
                    raise _UnreadableError(f"{place}: {err.strerror or err}") from err
            time.sleep(min(5.0, STORAGE_WAIT_S / 10))

    def _take_over(self, state: dict[str, Any]) -> None:
        """Continue from a state; another member's with the new settings.

        While a state is being saved Ray may hand on a later one in its place. A copy
        must not skip epochs: it then keeps its own state, with the new settings.
        """
        copied = state["name"] != self.trial_name
        if (
            copied
            and self._history
            and _last_epoch(state) != _last_epoch(self._state())
        ):
            state = self._state()
        config = config_of(state["trial"])
        epoch = state["trial"]["epoch"]
        new = {
            name: value
            for name, value in self._settings.items()
            if value != config.value(name, epoch)
        }
        if copied and new:
            config = config.changed(epoch, new)
        self._fields |= changeable(config.to_dict())
        self._go_on(TrialConfig.from_dict(self._fields), state["trial"])
        self._history, self._replay = state["history"], []
        if copied:  # before its next epoch is known to anyone
            self._trouble |= self._save()

    def _halve(self) -> bool:
        """Ask for the same batch in twice as many parts; whether it has so many."""
        parts = TrialConfig.from_dict(self._fields).data.num_micro_batches
        smaller = {**self._fields, PARTS: 2 * parts}
        try:
            TrialConfig.from_dict(smaller)
        except ConfigError:
            return False
        self._fields, self._parted = smaller, True
        return True

    def _advance(self) -> None:
        profiles = self._profiles(before=True)
        result = self._next_epoch()
        profiles |= self._profiles(before=False)
        result[COMPUTED_BY] = self._trial.computed_by
        if profiles:
            result[PROFILES] = profiles
        if self._parted:  # no longer the result of the configuration as suggested
            result[SETTING + PARTS] = float(self._fields[PARTS])
        self._history.append(result)
        self._unsaved = not result["diverged"]
        if self._unsaved and (result["done"] or self._due()):
            result = result | self._save()
        self._replay.append(result)

    def _profiles(self, *, before: bool) -> dict[str, Profile]:
        """The profile of the network as it is, by epoch, if it is due."""
        trial = self._trial
        last = trial.config.training.num_epochs
        due = (0,) if before else (last // 2, last)
        if not self._task["profiled"] or trial.epoch not in due or trial.diverged:
            return {}
        profile = trial.profile()
        return {str(trial.epoch): profile} if profile else {}

    def _next_epoch(self) -> dict[str, Any]:
        if not self._task["member"]:
            result = self._result(self._trial.run_epoch())
            first = self._trial.epoch == 1 and not self._trial.diverged
            asked = self._task["signals"] and first
            return result | (signals(self._trial) if asked else {})
        config = self._trial.config
        if self._trial.diverged:  # and waits for the state of a better member
            last = self._history[-1]
            result = {**last, "epoch": last["epoch"] + 1}
        else:
            result = self._result(self._trial.run_epoch())
        before = result["epoch"] - 1
        values = {
            SETTING + CHANGEABLE[name]: config.value(name, before)
            for name in self._settings
        }
        done = result["epoch"] >= config.training.num_epochs
        return {**result, **values, "done": done}

    def _state(self) -> dict[str, Any]:
        return {"trial": self._trial.state_dict(), "history": self._history}

    def _due(self) -> bool:
        if self._task["member"]:  # Ray may stop it anywhere, to go on from another's
            return True
        since_s = time.monotonic() - self._saved_at
        return self._saving_s <= CHECKPOINT_SHARE * since_s

    def _save(self) -> dict[str, str]:
        """Write the checkpoint; what went wrong, as part of a result.

        A trial goes on without: it is the study that must be told. Where another driver
        has taken over the study nothing is written: the file is its trial's by now.
        """
        start, holder = time.monotonic(), self._task["holder"]
        try:
            if holder is not None and not holder.has_it():
                return {}
            self._folder.write(self._checkpoint, dump_checkpoint(self._state()))
        except OSError as err:
            problem = without_secrets(err.strerror or str(err))
            return {UNSAVED: f"{self._folder.place('')}: {problem}"}
        self._saved_at = time.monotonic()
        self._saving_s, self._unsaved = self._saved_at - start, False
        return {}


def _last_epoch(state: dict[str, Any]) -> int:
    return state["history"][-1]["epoch"]


_WORST = {name: reportable(name, math.nan, diverged=True) for name in METRICS}
"""Ray demands the metric in every result, also in one that says there is none."""
