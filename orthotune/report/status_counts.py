"""Counts of trials by status."""

from collections.abc import Sequence

from orthotune.record.trial_record import PARTS, Status, TrialRecord
from orthotune.text import counted


def counts(records: Sequence[TrialRecord]) -> dict[Status, int]:
    """The number of trials of each status."""
    statuses = [record.status for record in records]
    return {status: statuses.count(status) for status in Status if status in statuses}


def counts_text(records: Sequence[TrialRecord]) -> str:
    """The same in words.

    Example:
        >>> counts_text([TrialRecord(number=n, fields={}) for n in range(2)])
        '2 waiting'
        >>> counts_text([])
        'none started'
    """
    parts = [f"{number} {status}" for status, number in counts(records).items()]
    return ", ".join(parts) or "none started"


def divergence_rate(records: Sequence[TrialRecord]) -> float:
    """The fraction of the trials that have ended which diverged; 0 before any has."""
    ended = [record for record in records if record.status.ended]
    diverged = [record for record in ended if record.status == Status.DIVERGED]
    return len(diverged) / len(ended) if ended else 0.0


def parted_text(records: Sequence[TrialRecord]) -> str:
    """A warning about trials that did not fit into memory whole; empty if all did.

    Example:
        >>> parted_text([TrialRecord(number=0, fields={})])
        ''
    """
    parted = [str(record.number) for record in records if record.parted]
    if not parted:
        return ""
    return (
        f"Did not fit into memory and ran with more `{PARTS}` than asked, so that "
        f"batch statistics are of smaller parts: {counted(len(parted), 'trial')} "
        f"({', '.join(parted)}). Set it for all, to compare like with like."
    )
