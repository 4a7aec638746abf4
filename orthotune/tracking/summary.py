"""The summary of a study and its groups that MLflow shows after a session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Group:
    """What the run of a group of trials shows: replicates of one configuration.

    Args:
        name: Of the group.
        params: What its trials have in common.
        metrics: What they come to.
        curve: The metric that is compared, by epoch.
        tags: Of the run.
    """

    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    curve: Mapping[int, float]
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the parent run shows at the end of a session.

    Args:
        status: FINISHED, FAILED or KILLED.
        metrics: The study's own metrics.
        tags: Its tags.
        artifacts: Files to keep with it.
        groups: What the runs between it and the trials' show.
    """

    status: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifacts: Sequence[Path]
    groups: Sequence[Group] = ()
