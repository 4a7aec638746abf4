"""A line of progress on standard error, rewritten on a terminal."""

import contextlib
import shutil
import sys
import time
from typing import TextIO

REWRITE_S = 0.1
"""Seconds between two lines on a terminal: nobody reads faster."""


class ProgressLine:
    """One line that is rewritten on a terminal, and printed now and then elsewhere.

    Args:
        stream: Where to; standard error by default.
        every_s: Seconds between two lines where `stream` is no terminal.

    Example:
        >>> import io
        >>> line = ProgressLine(stream=io.StringIO())
        >>> line.show("epoch 1/10")
        >>> line.close()
    """

    def __init__(self, stream: TextIO | None = None, every_s: float = 10.0) -> None:
        self._stream = stream or sys.stderr
        self._every_s = every_s
        self._last = float("-inf")
        self._width = 0

    def due(self, final: bool = False) -> bool:
        """Whether `show` would show anything now."""
        since_s = time.monotonic() - self._last
        return final or since_s >= self._pause_s()

    def _pause_s(self) -> float:
        return REWRITE_S if self._stream.isatty() else self._every_s

    def show(self, text: str, final: bool = False) -> None:
        """Show the state, if it is time to; `final` is printed whenever it comes."""
        if not self.due(final):
            return
        self._last = time.monotonic()
        if self._stream.isatty():
            text = text[: shutil.get_terminal_size().columns - 1]
            self._write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._write(text + "\n")

    def close(self) -> None:
        """End the line."""
        if self._stream.isatty() and self._width:
            self._write("\n")
        self._width = 0

    def _write(self, text: str) -> None:
        # Nobody reads any more (`2>&1 | head`): no reason to end a study.
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
