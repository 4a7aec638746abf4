"""What a study has taken from earlier ones, in the first event of its record.

So it goes on as it began, whatever becomes of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orthotune.record.trial_record import Status, TrialRecord

WARM_START = "warm_start"
"""Its key in the first event."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A configuration that is tried before any suggestion.

    Args:
        source: Where it is from, in words.
        values: Of the parameters, by field.
    """

    source: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Told:
    """A trial that the searcher knows from the beginning, as if it were of the study.

    Args:
        source: Where it is from, in words.
        key: As a trial of the study has it.
        fields: Likewise.
        status: How it ended.
        epoch: After which.
        metrics: Its last ones, those that a searcher reads.
    """

    source: str
    key: str
    fields: Mapping[str, Any]
    status: str
    epoch: int
    metrics: Mapping[str, float]

    @property
    def record(self) -> TrialRecord:
        """It as a record, whose number says nothing."""
        return TrialRecord(
            number=-1,
            key=self.key,
            fields=dict(self.fields),
            history={self.epoch: dict(self.metrics)},
            status=Status(self.status),
        )


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """What a study has taken from earlier ones.

    Args:
        tried: What is tried first, in order.
        told: What the searcher is told.
        left_out: What was not taken and why, a phrase each.

    Example:
        >>> tried = Tried(source="modulation, trial 3", values={"optimizer.lr": 0.1})
        >>> start = WarmStart(tried=(tried,))
        >>> WarmStart.of({"warm_start": start.to_dict()}) == start
        True
        >>> WarmStart.of({"event": "study"})
    """

    tried: Sequence[Tried] = ()
    told: Sequence[Told] = ()
    left_out: Sequence[str] = ()

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> "WarmStart | None":
        """What the first event of a record says; None where it says nothing."""
        found = header.get(WARM_START)
        if found is None:
            return None
        return cls(
            tried=tuple(Tried(**one) for one in found["tried"]),
            told=tuple(Told(**one) for one in found["told"]),
            left_out=tuple(found["left_out"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """It as plain values."""
        return {
            "tried": [asdict(one) for one in self.tried],
            "told": [asdict(one) for one in self.told],
            "left_out": list(self.left_out),
        }

    def lines(self) -> list[str]:
        """It for people, a phrase a line."""
        return [
            *(f"tried first: {one.source}" for one in self.tried),
            *(f"told to the searcher: {text}" for text in _by_source(self.told)),
            *(f"left out: {text}" for text in self.left_out),
        ]


def trials_text(source: str, numbers: Sequence[int]) -> str:
    """Some trials of a study.

    Example:
        >>> trials_text("modulation", [3]), trials_text("wide", range(9))
        ('modulation, trial 3', 'wide, 9 trials (0, 1, 2, 3 ...)')
    """
    if len(numbers) == 1:
        return f"{source}, trial {numbers[0]}"
    shown = ", ".join(map(str, numbers[:4])) + (" ..." if numbers[4:] else "")
    return f"{source}, {len(numbers)} trials ({shown})"


def _by_source(told: Sequence[Told]) -> list[str]:
    counts: dict[str, list[int]] = {}
    for one in told:
        source, _, number = one.source.rpartition(", trial ")
        counts.setdefault(source, []).append(int(number))
    return [trials_text(source, numbers) for source, numbers in counts.items()]
