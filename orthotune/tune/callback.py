"""Ray's callbacks, translated for the journal."""

from collections.abc import Set
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from orthotune.console import note
from orthotune.errors import out_of_room, unfit_node
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.tune.assignment import (
    CHANGED_FIELDS,
    ERROR,
    OUT_OF_MEMORY,
    UNFIT,
    UNSAVED,
    ended_as,
    number_of,
)
from orthotune.tune.stopper import StudyStopper

WORKER_DEATHS = 3
"""Deaths of its worker or its node that a trial survives without a new epoch between:
nodes that are taken away again and again are no failure, what kills its worker is."""

DEATHS = (
    f"its worker died more than {WORKER_DEATHS} times without finishing an epoch (see "
    "the node's logs)"
)


Deaths = dict[int, tuple[int, int]]
"""Of a trial, by its number: at which epoch its worker died, and how often there."""


class JournalCallback(Callback):
    """Writes what Ray reports into a journal; ends the study if that is impossible.

    Args:
        journal: The journal.
        stopper: Told when the journal cannot be written, and of every failed trial.
        deaths: Of the workers of trials, so far; of several tuners it is one.
        condemned: The numbers of the trials that the scheduler has stopped for all but
            an audit.
        waiting: Whether trials wait for each other. Ray does so for a trial that has
            failed, too, and for ever: the others are run anew without it.
    """

    def __init__(
        self,
        journal: Journal,
        stopper: StudyStopper,
        deaths: Deaths,
        *,
        condemned: Set[int] = frozenset(),
        waiting: bool = False,
    ) -> None:
        self._journal = journal
        self._condemned = condemned
        self._stopper = stopper
        self._waiting = waiting
        self._deaths = deaths

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray writes its callbacks to disk, the journal is there already."""
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Ray has started, or started again, a trial."""
        with self._stopper.failing():
            self._journal.start(number_of(trial))

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: object,
    ) -> None:
        """A trial has reported an epoch, or why it cannot."""
        with self._stopper.failing():
            if "epoch" in result:
                number = number_of(trial)
                if CHANGED_FIELDS in result:
                    self._journal.change_fields(number, result[CHANGED_FIELDS])
                self._journal.report(number, int(result["epoch"]), result)
                if number in self._condemned:
                    self._journal.condemn(number)
            if UNFIT in result:
                raise unfit_node(result[UNFIT])
            if UNSAVED in result:
                raise out_of_room(
                    f"The folder of checkpoints must be writable, but {result[UNSAVED]}"
                )

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """A trial has ended."""
        number, result = number_of(trial), trial.last_result or {}
        with self._stopper.failing():
            status = ended_as(self._journal, number, result)
            if status == Status.FAILED:
                self._fail(number, result[ERROR])
                return
            self._journal.end(number, status, result.get(OUT_OF_MEMORY))
            if status == Status.OOM:
                self._stopper.again |= self._waiting

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """A trial's worker, or its node, has died; Ray starts it again."""
        self._count_death(number_of(trial))
        _say_it_goes_on(trial)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Ray has given up a trial: too many deaths, or one in an idle worker."""
        # Ray counts deaths whatever was done between them, and one between two trials
        # twice, which ends the next trial.
        in_a_row = self._count_death(number_of(trial))
        if in_a_row <= WORKER_DEATHS:
            self._stopper.again = True
            _say_it_goes_on(trial)
            return
        with self._stopper.failing():
            self._fail(number_of(trial), DEATHS)

    def _count_death(self, number: int) -> int:
        """Deaths of a trial's workers since its last new epoch, with this one."""
        before, count = self._deaths.get(number, (-1, 0))
        epoch = self._journal[number].trained_epochs
        count = count + 1 if epoch == before else 1
        self._deaths[number] = epoch, count
        return count

    def _fail(self, number: int, trace: str) -> None:
        lines = trace.strip().splitlines() or ["unknown error"]
        self._journal.end(number, Status.FAILED, lines[-1].strip())
        self._stopper.on_failed(self._journal, trace)
        self._stopper.again |= self._waiting


def _say_it_goes_on(trial: Trial) -> None:
    note(
        f"the worker of trial {number_of(trial)} died; the trial goes on from its last "
        "checkpoint."
    )
