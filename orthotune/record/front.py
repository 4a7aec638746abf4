"""The trials of which no other is better in every metric."""

from collections.abc import Sequence

from orthotune.record.standings import equal_budget
from orthotune.record.trial_record import TrialRecord
from orthotune.statistics.pareto import on_front, spread


def points(
    records: Sequence[TrialRecord], metrics: Sequence[str]
) -> list[tuple[float, ...]]:
    """What some trials came to in some metrics, a row a trial."""
    return [tuple(record.last(name) for name in metrics) for record in records]


def front(records: Sequence[TrialRecord], metrics: Sequence[str]) -> list[TrialRecord]:
    """The trials that no other dominates, of those that can be compared.

    Args:
        records: The trials of a study.
        metrics: What it minimizes.

    Returns:
        The best in the first metric first.

    Example:
        >>> records = [
        ...     TrialRecord(number=n, fields={}, history={1: {"a": a, "b": b}})
        ...     for n, (a, b) in enumerate([(2.0, 2.0), (3.0, 3.0), (1.0, 4.0)])
        ... ]
        >>> [record.number for record in front(records, ["a", "b"])]
        [2, 0]
    """
    compared = equal_budget(records, metrics[0])
    there = on_front(points(compared, metrics)) if compared else []
    return [one for one, kept in zip(compared, there, strict=True) if kept]


def spread_front(
    members: Sequence[TrialRecord], metrics: Sequence[str], most: int
) -> list[TrialRecord]:
    """At most so many members of a front, `spread` over it.

    Args:
        members: The front, as `front` gives it.
        metrics: What the study minimizes.
        most: How many.
    """
    if len(members) <= most:
        return list(members)
    return [members[place] for place in spread(points(members, metrics), most)]
