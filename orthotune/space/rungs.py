"""Rungs of successive halving, and the epochs that trials are expected to train."""

from collections.abc import Mapping
from dataclasses import dataclass

from orthotune.space.settings import SearchSettings


def rungs(search: SearchSettings) -> list[int]:
    """The epochs at which asha compares trials and stops the worse ones.

    Example:
        >>> rungs(SearchSettings(max_epochs=10, grace_epochs=1, reduction_factor=3))
        [1, 3, 9]
    """
    if search.scheduler != "asha":
        return []
    levels, epochs = [], search.grace_epochs
    while epochs < search.max_epochs:
        levels.append(epochs)
        epochs *= search.reduction_factor
    return levels


@dataclass(frozen=True)
class Epochs:
    """Epochs that are expected.

    Args:
        mean: Their number.
        variance: Its variance.
    """

    mean: float
    variance: float = 0.0

    def __add__(self, other: "Epochs") -> "Epochs":
        """Of two trials together, taken for independent."""
        return Epochs(self.mean + other.mean, self.variance + other.variance)

    def times(self, number: int) -> "Epochs":
        """Of so many such trials."""
        return Epochs(number * self.mean, number * self.variance)


def expected_rest(
    search: SearchSettings, epoch: int, passing: Mapping[int, float] | None = None
) -> Epochs:
    """Epochs that a trial is still to train, if it has finished `epoch` and goes on.

    Args:
        search: How the space is searched.
        epoch: Epochs finished.
        passing: The probability with which trials pass each rung; one in
            `reduction_factor` where it does not say. Asynchronous halving lets more
            pass at first, before it has seen enough.

    Example:
        >>> search = SearchSettings(max_epochs=4, grace_epochs=1, reduction_factor=2)
        >>> expected_rest(search, 0), expected_rest(search, 2)
        (Epochs(mean=2.0, variance=1.5), Epochs(mean=2.0, variance=0.0))
    """
    rest = Epochs(0.0)
    end = search.max_epochs
    for rung in reversed(rungs(search)):
        if rung <= epoch:
            break
        goes_on = (passing or {}).get(rung, 1 / search.reduction_factor)
        steps = end - rung
        mean = rest.mean + steps
        second = goes_on * (rest.variance + mean**2)
        rest = Epochs(goes_on * mean, second - (goes_on * mean) ** 2)
        end = rung
    return Epochs(rest.mean + max(0, end - epoch), rest.variance)


def expected_epochs(search: SearchSettings) -> float:
    """Expected epochs of one trial if one in `reduction_factor` passes each rung.

    Example:
        >>> expected_epochs(SearchSettings(max_epochs=4, reduction_factor=2))
        2.0
        >>> expected_epochs(SearchSettings(max_epochs=4, reduction_factor=2, audit=0.5))
        3.0
    """
    stopped = expected_rest(search, 0).mean
    return stopped + search.audit * (search.max_epochs - stopped)
