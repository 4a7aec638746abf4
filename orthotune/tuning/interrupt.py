"""Ctrl-C as an orderly end, by Ray's Stopper contract."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ray import tune


def _nothing() -> None:
    """Nobody has asked to be told."""


class StopOnInterrupt(tune.Stopper):
    """Ends the study on the first Ctrl-C; the second raises KeyboardInterrupt.

    Attributes:
        requested: Whether the first has come.
        on_request: Called when it comes.
    """

    def __init__(self) -> None:
        self.requested = False
        self.on_request: Callable[[], None] = _nothing

    def __getstate__(self) -> dict[str, object]:
        """As new: Ray writes its stoppers to disk."""
        return {"requested": False, "on_request": _nothing}

    def __call__(self, trial_id: str, result: dict) -> bool:
        """No trial is stopped for its own result."""
        return False

    def stop_all(self) -> bool:
        """Whether Ray shall end the study."""
        return self.requested

    @contextmanager
    def installed(self) -> Iterator[None]:
        """With our handler for Ctrl-C, a polite kill and a closed terminal."""
        previous = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        with contextlib.suppress(OSError):
            sys.stderr.write("\northotune: stopping; once more to stop at once.\n")
        self.on_request()
