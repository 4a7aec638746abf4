"""A study as it is asked: settings, space, and what one trial of it is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orthotune.record.trial_record import TrialRecord
from orthotune.record.warm_start import WarmStart
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import StudySettings

TUNING = "tuning: "
"""How the groups begin whose trials are no replicates, but tune an arm."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A trial that is listed, not searched for.

    Args:
        fields: Its fields.
        group: What it is a replicate of.
        label: What it is called among those of its group.
    """

    fields: Mapping[str, Any]
    group: str
    label: str


More = Callable[[Sequence[TrialRecord]], Sequence[Listed]]
"""Further trials, given those of a study, in which nothing runs."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study file, checked.

    Args:
        path: The file as the user named it.
        settings: Name, metric, search, resources.
        space: What varies and what is fixed.
        listed: Every trial, where they are listed and not searched for.
        more: Which are to follow once those have ended; asked until there is none.
        keep_best_of_groups: Whether the checkpoint of the best of each group stays.
        reuse: Whether what other studies have run of them is taken from MLflow.
        question: What such a study asks, as plain values by dotted name.
        warm_start: What it takes from earlier studies when it begins.
        searched: Whether its search is over, whatever is open in it: only what
            confirms it is still to run.
    """

    path: str
    settings: StudySettings
    space: SearchSpace
    listed: tuple[Listed, ...] = ()
    more: More | None = None
    reuse: bool = False
    keep_best_of_groups: bool = False
    question: Mapping[str, Any] = field(default_factory=dict)
    warm_start: WarmStart | None = None
    searched: bool = False

    @property
    def num_runs(self) -> int:
        """The most trials it can come to, confirmations included."""
        return self.num_searched + self.settings.search.num_confirmations

    @property
    def num_searched(self) -> int:
        """The same without the confirmations."""
        if self.listed:
            return len(self.listed)
        return int(min(self.settings.search.num_trials, self.space.size))

    @property
    def start_lines(self) -> list[str]:
        """What it takes from earlier studies, a phrase a line."""
        return [] if self.warm_start is None else self.warm_start.lines()

    def trial_fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of one trial: fixed and suggested values, and the budget."""
        epochs = {"training.num_epochs": self.settings.search.max_epochs}
        return {**self.space.fixed, **values, **epochs}
