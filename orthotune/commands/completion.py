"""What a shell is told when it completes a command; argcomplete asks."""

import argparse
from collections.abc import Callable, Iterable


def completed(action: argparse.Action, known: Callable[[], Iterable[str]]) -> None:
    """Let a shell complete an argument by names, beside those of files.

    Args:
        action: What `add_argument` gave.
        known: Gives the names; asked when a shell asks.
    """

    def complete(prefix: str, **_others: object) -> list[str]:
        from argcomplete.completers import FilesCompleter

        return [*known(), *FilesCompleter()(prefix)]

    vars(action)["completer"] = complete
