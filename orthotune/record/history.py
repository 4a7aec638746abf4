"""A trial's metrics by epoch, read from the study's event log when they are asked for.

A study has more epochs than should be kept in memory: one takes 16 bytes here.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence

from orthotune.record.event_log import Event, EventLog

Profile = Mapping[str, Sequence[float]]
"""What is known of each layer of a network, in the order of the layers."""

COMPUTED_BY = "computed_by"
"""Key of the name of what has computed an epoch, where it is new to the trial."""

PROFILES = "profiles"
"""Key of what holds profiles, by epoch."""

_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {}
"""The names that came together: most epochs of most trials have the same."""


class History(Mapping[int, dict[str, float]]):
    """Metrics by epoch, in the order they were reported; what is read is a copy.

    The epoch added last is at hand, the others are read from the log when they are
    asked for. Threads may read while one adds.

    Args:
        log: Where the epochs are.

    Attributes:
        profiled: In which epoch's event the profile of an epoch is, if there are any:
            that of before the first comes with the first.

    Raises:
        StudyError: If the log cannot be read.

    Example:
        >>> import tempfile, pathlib
        >>> log = EventLog(pathlib.Path(tempfile.mkdtemp(), "record.jsonl"))
        >>> history = History(log)
        >>> for epoch, error in enumerate([0.5, 0.25], 1):
        ...     event = {"epoch": epoch, "time": 9, "metrics": {"val_error": error}}
        ...     history.add(event, log.append(event))
        >>> history[1], history == {1: {"val_error": 0.5}, 2: {"val_error": 0.25}}
        ({'val_error': 0.5}, True)
    """

    __slots__ = ("_epochs", "_last", "_log", "_places", "profiled")

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._epochs = array("q")
        self._places = array("q")
        self._last: tuple[int, tuple[str, ...], bytes] | None = None
        self.profiled: dict[int, int] | None = None

    def add(self, event: Event, place: int) -> None:
        """Put an epoch at the end.

        Args:
            event: What was reported of it; its number is not there yet.
            place: Of the event in the log.
        """
        epoch, metrics = event["epoch"], event["metrics"]
        if PROFILES in event:
            here = {int(at): epoch for at in event[PROFILES]}
            self.profiled = {**(self.profiled or {}), **here}
        names = tuple(metrics)
        values = array("d", metrics.values()).tobytes()
        self._last = epoch, _NAMES.setdefault(names, names), values
        self._places.append(place)
        self._epochs.append(epoch)  # last: a reader in another thread goes by it

    def places(self) -> Iterator[tuple[int, int]]:
        """Each epoch's place in the log, and the epoch."""
        return zip(self._places, self._epochs, strict=False)

    def event(self, epoch: int) -> Event:
        """An epoch's event in the log."""
        try:
            place = self._places[self._epochs.index(epoch)]
        except ValueError:
            raise KeyError(epoch) from None
        return self._log.read(place)

    def __getitem__(self, epoch: int) -> dict[str, float]:
        last = self._last  # once: another thread may replace it
        if last is None or epoch != last[0]:
            return self.event(epoch)["metrics"]
        _, names, values = last
        return dict(zip(names, array("d", values), strict=True))

    def __contains__(self, epoch: object) -> bool:
        return epoch in self._epochs

    def __iter__(self) -> Iterator[int]:
        return iter(self._epochs)

    def __len__(self) -> int:
        return len(self._epochs)

    def __repr__(self) -> str:
        return repr(dict(self))


class Times(Mapping[int, int]):
    """When the epochs of a history were reported, in milliseconds since 1970.

    Args:
        history: The history.
    """

    __slots__ = ("_history",)

    def __init__(self, history: History) -> None:
        self._history = history

    def __getitem__(self, epoch: int) -> int:
        return self._history.event(epoch)["time"]

    def __iter__(self) -> Iterator[int]:
        return iter(self._history)

    def __len__(self) -> int:
        return len(self._history)

    def __repr__(self) -> str:
        return repr(dict(self))


class Profiles(Mapping[int, Profile]):
    """The networks of a history layer by layer, by epoch, where they were looked at.

    Args:
        history: The history.
    """

    __slots__ = ("_history",)

    def __init__(self, history: History) -> None:
        self._history = history

    def __getitem__(self, epoch: int) -> Profile:
        event = self._history.event((self._history.profiled or {})[epoch])
        return event[PROFILES][str(epoch)]

    def __iter__(self) -> Iterator[int]:
        return iter(self._history.profiled or ())

    def __len__(self) -> int:
        return len(self._history.profiled or ())

    def __repr__(self) -> str:
        return repr(dict(self))
