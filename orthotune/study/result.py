"""The locations of a study, and its result at the end of a session."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from orthotune.record.checkpoints import CheckpointFolder
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.storage.folder import absolute, joined
from orthotune.tracking.summary import Group
from orthotune.tracking.tensorboard import check_tensorboard
from orthotune.tracking.tracking_uri import resolve_tracking_uri
from orthotune.tracking.ui_view import Addresses


@dataclass(frozen=True, kw_only=True)
class Locations:
    """Where a study runs and what it writes to.

    Args:
        storage: Folder or URI under which the study keeps its files.
        tracking_uri: MLflow store, as `resolve_tracking_uri` gives it.
        address: Ray cluster to join, or None for one on this machine.
        tensorboard: Folder for TensorBoard's files, or None for no such files.
    """

    storage: str
    tracking_uri: str
    address: str | None = None
    tensorboard: Path | None = None

    @classmethod
    def of(
        cls,
        storage: str,
        tracking_uri: str,
        address: str | None,
        tensorboard: str | os.PathLike[str] | None = None,
    ) -> "Locations":
        """The locations that a user names.

        Raises:
            StudyError: If the tracking URI or the folder for TensorBoard is not one
                this program can write to, or the package for it is missing.
        """
        uri, folder = resolve_tracking_uri(tracking_uri), None
        if tensorboard is not None:
            folder = Path(tensorboard).expanduser().absolute()
            check_tensorboard(folder)
        return cls(
            storage=storage, tracking_uri=uri, address=address, tensorboard=folder
        )

    def of_study(self, study: Study, *names: str) -> str:
        """The path or URI of something in a study's folder, as all nodes see it."""
        return joined(absolute(self.storage), study.settings.name, *names)


class StudyReport(Protocol):
    """The files that a study writes, whoever wrote them."""

    @property
    def worked(self) -> bool:
        """Whether there is a result."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the parent run shows."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """Further tags of the parent run."""
        ...

    @property
    def groups(self) -> Sequence[Group]:
        """What the runs of groups of trials show."""
        ...

    @property
    def note(self) -> str:
        """The description of the parent run, in Markdown."""
        ...

    @property
    def paths(self) -> Sequence[Path]:
        """The files."""
        ...


R = TypeVar("R", bound=StudyReport)

ReportWriter = Callable[[Study, Path, Sequence[TrialRecord], Sequence[str]], R]
"""Writes the files of a study: its folder, its trials, the commits of the code."""


@dataclass(frozen=True, kw_only=True)
class StudyResult(Generic[R]):
    """The result of a study at the end of a session.

    Args:
        records: Every trial.
        report: What was written for people.
        finished: Whether nothing is left to run.
        interrupted: Whether Ctrl-C ended the session.
        trace: The traceback of an error that all trials had in common.
        spent_s: Seconds of all sessions.
        ui_command: The command that starts MLflow's UI; None if a server runs.
        ui: Where this study is there; None while the store does not answer.
        tracking_error: Why MLflow misses something, if it does.
        study_id: Tells this study from an earlier one of the same name.
        checkpoints: Those that were kept.
        registered: What was registered in MLflow, in words; empty if that failed, None
            if nothing was to be.
    """

    records: list[TrialRecord]
    report: R
    finished: bool
    interrupted: bool
    trace: str | None
    spent_s: float
    ui_command: str | None
    ui: Addresses | None
    tracking_error: str | None
    study_id: str
    checkpoints: CheckpointFolder
    registered: str | None = None

    @property
    def worked(self) -> bool:
        """Whether the session ended by itself, with a result."""
        return not self.interrupted and self.report.worked and self.trace is None
