"""Ends a study before its last trial, by Ray's Stopper contract."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ray import tune

from orthotune.console import note
from orthotune.errors import InterruptedStartError, StudyError
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status, TrialRecord

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a polite kill and a closed terminal."""

SAME_ERRORS = 3
"""Failed trials with one and the same error, and none that worked, after which it is
taken for an error of the code or of the study, not of a trial."""


class StudyStopper(tune.Stopper):
    """Ends the study on Ctrl-C, on a failure of the record, and on broken code.

    The first Ctrl-C ends it in order; the second raises KeyboardInterrupt. While it
    starts, the first ends it at once. Signals that are ignored when this is made
    (`nohup`, a shell's `&`) stay ignored.

    Attributes:
        interrupted: Whether Ctrl-C has come.
        error: Why the study cannot go on, if it cannot.
        trace: The traceback that the first trials have in common, if they have.
        again: Whether Ray gave up a trial that is to go on: it shall be run anew.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self.error: StudyError | None = None
        self.trace: str | None = None
        self.again = False
        self._starting: str | None = None
        self._ignored = [n for n in SIGNALS if signal.getsignal(n) == signal.SIG_IGN]

    def __getstate__(self) -> dict[str, object]:
        """As new: Ray writes its stoppers to disk."""
        return vars(StudyStopper())

    def __call__(self, trial_id: str, result: dict) -> bool:
        """No trial is stopped for its own result."""
        return False

    def stop_all(self) -> bool:
        """Whether Ray shall end the study."""
        stopped = self.error is not None or self.trace is not None
        return stopped or self.interrupted or self.again

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Run what may raise a StudyError on Ray's event loop: it ends the study."""
        try:
            yield
        except StudyError as err:
            self.error = self.error or err

    def lose(self, err: StudyError) -> None:
        """End the study for a reason that another thread has found."""
        self.error = self.error or err

    def on_failed(self, journal: Journal, trace: str) -> None:
        """End the study if the first trials all fail in the same way."""
        if all_failed_alike(journal):
            self.trace = trace

    @contextmanager
    def installed(self) -> Iterator[None]:
        """With our handler for `SIGNALS`, but for those that were ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals: a notebook's own does
            return
        previous = {number: signal.getsignal(number) for number in SIGNALS}
        previous |= dict.fromkeys(self._ignored, signal.SIG_IGN)
        for number in SIGNALS:
            ignored = number in self._ignored
            signal.signal(number, signal.SIG_IGN if ignored else self._on_signal)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def starting(self, *, begun: bool) -> Iterator[None]:
        """While nothing of the session runs: a signal raises an error, once.

        Args:
            begun: Whether an earlier session has.

        Raises:
            InterruptedStartError: If a signal comes, or came before.
        """
        kept = "what is done is kept" if begun else "the study has not begun"
        again = "continues" if begun else "begins"
        self._starting = f"stopped; {kept}, and the same command {again} it."
        try:
            if self.interrupted:
                self._end_start(self._starting)
            with _lost_in_silence():
                yield
            if self.interrupted:  # a callback of Ray's may have lost the error
                raise InterruptedStartError
        finally:
            if not self.interrupted:  # no second signal disturbs what ends now
                self._starting = None

    def _end_start(self, said: str) -> None:
        self.interrupted = True
        note(said)
        raise InterruptedStartError

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._starting is not None:
            if not self.interrupted:
                self._end_start(self._starting)
            return
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        note("stopping; once more to stop at once.")


@contextmanager
def _lost_in_silence() -> Iterator[None]:
    """While Python tells nobody that a callback or a destructor has lost our error."""
    before = sys.unraisablehook

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if not issubclass(lost.exc_type, InterruptedStartError):
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def all_failed_alike(journal: Journal) -> list[TrialRecord]:
    """The trials that have ended, if they are enough and failed with one error."""
    ended = [record for record in journal.records if record.status.ended]
    failed = all(record.status == Status.FAILED for record in ended)
    alike = failed and len({record.error for record in ended}) == 1
    return ended if alike and len(ended) >= SAME_ERRORS else []
