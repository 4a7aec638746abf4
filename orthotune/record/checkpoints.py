"""The checkpoints of a study: one a trial, in one folder, local or by URI.

A live trial has its latest state there; when it ends, only those of the best stay.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from orthotune.record.front import front, spread_front
from orthotune.record.journal import Journal
from orthotune.record.population import population
from orthotune.record.trial_record import TrialRecord
from orthotune.storage.folder import StorageFolder
from orthotune.training.checkpoint import parse_checkpoint


class CheckpointFolder(StorageFolder):
    """The folder of a study's checkpoints."""

    def load(self, name: str) -> dict[str, Any] | None:
        """The state in a checkpoint; None if there is none.

        Raises:
            CheckpointError: If it is damaged.
            OSError: If it cannot be read.
        """
        content = self.read(name)
        if content is None:
            return None
        return parse_checkpoint(content, self.place(name))


def checkpoint_name(trial: str) -> str:
    """The file name of a trial's checkpoint, by the trial's name.

    Example:
        >>> checkpoint_name("trial-0003-0123456789abcdef")
        'trial-0003-0123456789abcdef.pt'
    """
    return f"{trial}.pt"


class CheckpointKeeper:
    """Deletes checkpoints that are not needed any more; an observer of the journal.

    Args:
        folder: The study's checkpoints.
        journal: Its trials.
        metric: What it minimizes.
        keep: Ended trials whose checkpoints stay, the best.
        objectives: All metrics that it minimizes; of several the front is kept.
        of_groups: Whether the best of every group of trials stays, too.
        of_all: Whether whatever there is stays, but for trials that confirm others.
        when_safe: Runs what deletes, once whoever continues the study knows why.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        journal: Journal,
        metric: str,
        keep: int,
        *,
        of_groups: bool = False,
        of_all: bool = False,
        objectives: Sequence[str] = (),
        when_safe: Callable[[Callable[[], None]], None] = lambda action: action(),
    ) -> None:
        self._when_safe = when_safe
        self._folder = folder
        self._journal = journal
        self._keep = keep
        self._of_groups = of_groups
        self._of_all = of_all
        self._objectives = objectives
        self._standings = journal.standings(metric)
        self._kept = self._best()

    def on_start(self, record: TrialRecord) -> None:
        """Nothing ends."""

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Nothing ends."""

    def on_end(self, record: TrialRecord) -> None:
        """Delete the checkpoints that are not needed after this trial's end."""
        if record.status.ended:
            before = self._kept | {checkpoint_name(record.name)}
            if record.validates is None:  # what is confirmed is kept itself
                self._standings.add(record)
            self._kept = self._best()
            superfluous = before - self._kept
            self._when_safe(lambda: self._delete(superfluous))

    def sweep(self) -> None:
        """Delete every file that is of no live trial and none of the best."""
        live = {checkpoint_name(r.name) for r in self._journal.open}
        with contextlib.suppress(OSError):
            self._delete(set(self._folder.names()) - live - self._kept)

    def _best(self) -> set[str]:
        if self._of_all:
            searched = population(self._journal.records)
            return {checkpoint_name(record.name) for record in searched}
        best = list(self._standings.best[: self._keep])
        if self._objectives[1:]:
            members = front(self._standings.best, self._objectives)
            best = spread_front(members, self._objectives, self._keep)
        if self._of_groups:
            firsts: dict[str | None, TrialRecord] = {}
            for record in self._standings.best:
                firsts.setdefault(record.group, record)
            best += firsts.values()
        return {checkpoint_name(record.name) for record in best}

    def _delete(self, names: set[str]) -> None:
        for name in names:
            # A file that stays is swept up another time.
            with contextlib.suppress(OSError):
                self._folder.delete(name)
