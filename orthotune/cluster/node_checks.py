"""What was found of a node, and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from orthotune.errors import StudyError
from orthotune.text import aligned, counted


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of one node.

    Args:
        node: Its address.
        name: What was asked.
        found: What there is.
        problem: What is wrong and what to do, a sentence; nothing if all is well.
    """

    node: str
    name: str
    found: str
    problem: str = ""


def table(checks: Sequence[Check]) -> str:
    """The checks as text, a line each."""
    rows = [["node", "check", "found", "verdict"]]
    rows += [
        [c.node, c.name, c.found or "-", "failed" if c.problem else "ok"]
        for c in checks
    ]
    return aligned(rows)


def refuse(checks: Sequence[Check]) -> None:
    """Raise what the first failed check says.

    Raises:
        StudyError: If one failed.
    """
    failed = [check.problem for check in checks if check.problem]
    if failed:
        more = f" (And {counted(len(failed) - 1, 'check')} more.)"
        raise StudyError(failed[0] + (more if failed[1:] else ""))
