"""A trial's metrics by epoch, in a third of the memory that dictionaries take."""

from array import array
from collections.abc import Iterator, MutableMapping

_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {}
"""The names that came together: most epochs of most trials have the same."""


class History(MutableMapping[int, dict[str, float]]):
    """Metrics by epoch; what is read is a copy.

    Example:
        >>> history = History()
        >>> history[1] = {"val_error": 0.5, "lr": 0.1}
        >>> history[1], history == {1: {"val_error": 0.5, "lr": 0.1}}
        ({'val_error': 0.5, 'lr': 0.1}, True)
    """

    __slots__ = ("_epochs",)

    def __init__(self) -> None:
        self._epochs: dict[int, tuple[tuple[str, ...], bytes]] = {}

    def __getitem__(self, epoch: int) -> dict[str, float]:
        names, values = self._epochs[epoch]
        return dict(zip(names, array("d", values), strict=True))

    def __setitem__(self, epoch: int, metrics: dict[str, float]) -> None:
        names = tuple(metrics)
        values = array("d", metrics.values()).tobytes()
        self._epochs[epoch] = _NAMES.setdefault(names, names), values

    def __delitem__(self, epoch: int) -> None:
        del self._epochs[epoch]

    def __iter__(self) -> Iterator[int]:
        return iter(self._epochs)

    def __len__(self) -> int:
        return len(self._epochs)

    def __repr__(self) -> str:
        return repr(dict(self))
