"""A study that somebody has run or runs, as tables, configurations and networks.

Everything is from its record: neither its file nor its data are needed, and nothing of
it is changed.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.archive.names import missing_study
from orthotune.config.plugins import import_plugins
from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError, StudyError
from orthotune.record.front import front
from orthotune.record.journal import Journal
from orthotune.record.population import population
from orthotune.record.tables import history_table, trial_table
from orthotune.record.trial_record import TrialRecord
from orthotune.space.settings import ConfirmSettings
from orthotune.storage.folder import absolute, is_remote, joined
from orthotune.storage.lock import is_locked
from orthotune.storage.redaction import without_secrets
from orthotune.study.best import Best, find_best
from orthotune.study.record_opening import (
    LOCK,
    RECORD,
    check_format,
    copied_log,
    record_to_read,
    study_folder,
)

if TYPE_CHECKING:
    import pandas as pd

    from orthotune.study.result import StudyResult
    from orthotune.training.classifier import Classifier

REPORT = "report.html"


class LoadedStudy:
    """A study as its record says it was when it was first asked.

    Also one that runs now, in this process or another: load it again for what has come
    since.

    Args:
        name: Of the study.
        storage: The folder or URI under which it keeps its files.
        outcome: What the session has come to that gave this study; None for one that
            was loaded.

    Attributes:
        name: The study's.
        storage: Where it is.
        outcome: As given: whether it is `finished` or was `interrupted`, the `trace` of
            an error that all trials had in common, why MLflow is incomplete
            (`tracking_error`).

    Raises:
        StudyError: From every member, if there is no such study, or it cannot be read.

    Example:
        ::

            study = orthotune.load_study("modulation")
            study.trials.sort_values("val_error").head()
            study.history.pivot(index="epoch", columns="trial")["val_error"].plot()
            study.best.optimizer.lr
            logits = study.network()(images)
    """

    def __init__(
        self,
        name: str,
        storage: str = "studies",
        *,
        outcome: "StudyResult[Any] | None" = None,
    ) -> None:
        self.name = name
        self.storage = storage
        self.outcome = outcome

    def __repr__(self) -> str:
        return f"<LoadedStudy {self.name!r} in {without_secrets(self.storage)!r}>"

    @property
    def folder(self) -> Path:
        """Its folder on this machine, with the report; also of a remote storage."""
        return study_folder(self.name, self.storage)

    @property
    def id(self) -> str:
        """Tells it from an earlier study of the same name; a tag of its runs."""
        return self._read.header["id"]

    @property
    def definition(self) -> Mapping[str, Any]:
        """The question it asks, as plain values by dotted name."""
        return self._read.header["definition"]

    @property
    def metric(self) -> str:
        """What it minimizes; the first of several metrics."""
        return self.metrics[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that it minimizes."""
        asked = self.definition["metric"]
        return (asked,) if isinstance(asked, str) else tuple(asked)

    @property
    def front(self) -> list[int]:
        """The trials that no other beats in every metric, by the first metric.

        Of one metric the best of those that ran longest, with those equal to it.
        """
        searched = population(self.records)
        return [record.number for record in front(searched, self.metrics)]

    @property
    def running(self) -> bool:
        """Whether a process of this machine runs it now."""
        return is_locked(self.folder / LOCK)

    @property
    def records(self) -> Sequence[TrialRecord]:
        """The trials in the order of their numbers, as orthotune itself has them."""
        return self._read.records

    @functools.cached_property
    def trials(self) -> "pd.DataFrame":
        """A row a trial, in the order of their numbers.

        Columns: `trial` (its number), `status`, `epochs` (reported), of an ablation
        `group` and `label`, `confirms` (the trial that it trains again, if any does),
        every field that varies (missing where nothing reads it; a list is a tuple),
        `seed`, the metrics of the last epoch, `error`, `started` and `ended`.
        """
        prefix, names = "space.", []
        for name, asked in self.definition.items():
            if name.startswith(prefix):
                own = name.removeprefix(prefix)
                names += asked.get("sets", [own])  # of a joint parameter its fields
        return trial_table(self.records, names)

    @functools.cached_property
    def history(self) -> "pd.DataFrame":
        """A row an epoch of a trial: `trial`, `epoch`, and its metrics."""
        return history_table(self.records)

    @property
    def best_trial(self) -> int:
        """The number of the best trial, by the rule of `best.yaml`.

        Of a search the one with the best mean over fresh seeds, or if there is none the
        first of its longest trials; of an ablation the best cell of the best arm.

        Raises:
            StudyError: If no trial has a result that can be compared.
        """
        if self._best is None:
            errors = [record.error for record in self.records if record.error]
            why = f"the first error is: {errors[0]}" if errors else "none has ended"
            why = "of several metrics it has a `front`" if self.metrics[1:] else why
            raise StudyError(
                f"The study {self.name} must have a trial with a result that can be "
                f"compared to have a best, but {why}. Look at `trials`."
            )
        return self._best.record.number

    @property
    def best_value(self) -> float | None:
        """The metric of the best trial; None if there is no best.

        The mean over the seeds that confirmed it, or its value at its end.
        """
        return None if self._best is None else self._best.value

    @property
    def confirmation(self) -> ConfirmSettings | None:
        """What was begun to be confirmed; None if nothing was."""
        return self._read.confirm

    @property
    def confirmed(self) -> bool:
        """Whether the best is so with fresh seeds; else it is first in the search."""
        return self._best is not None and self._best.confirmed

    @property
    def best(self) -> TrialConfig:
        """The best trial's configuration, as `best.yaml` has it.

        Raises:
            StudyError: As `best_trial` and `config`.
        """
        return self.config()

    def config(self, trial: int | None = None) -> TrialConfig:
        """The configuration that gives a trial's result, trained from scratch.

        Args:
            trial: Its number; the best by default.

        Raises:
            StudyError: If there is no such trial, or its fields are not this version's.
        """
        record = self._record(trial)
        try:
            return TrialConfig.from_dict(record.trained)
        except ConfigError as err:
            raise StudyError(
                f"Trial {record.number} of {self.name} must be of this version of "
                f"orthotune to be configured again, but: {err} Look at `trials`."
            ) from err

    @property
    def report(self) -> Path:
        """The path of the report, one HTML file.

        Raises:
            StudyError: If there is none yet.
        """
        path = self.folder / REPORT
        if not path.exists():
            raise StudyError(
                f"{path} must have been written, but is not there. It comes with the "
                "end of a session, or with --report of the study's command."
            )
        return path

    def network(self, trial: int | None = None) -> "Classifier":
        """A trial's trained network, on the CPU, in evaluation mode.

        It takes images as the data set has them, `(N, C, H, W)`, uint8 or float32, and
        gives logits `(N, classes)`: the normalization of the training is part of it.
        A checkpoint of an older version lacks it: the data set must then be where the
        trial found it.

        Args:
            trial: Its number; the best by default.

        Raises:
            StudyError: If there is no such trial, or its checkpoint was not kept.
            CheckpointError: If it is damaged, or not of this version of orthotune.
            DataError: If the data set is needed, and cannot be loaded.
        """
        # torch takes a second to import: who wants tables does not wait for it.
        from orthotune.record.checkpoints import CheckpointFolder, checkpoint_name
        from orthotune.training.classifier import trained_classifier

        record = self._record(trial)
        place = joined(absolute(self.storage), self.name, "checkpoints", self.id)
        folder = CheckpointFolder(place)
        try:
            state = folder.load(checkpoint_name(record.name))
            names = set(folder.names())
        except OSError as err:
            raise StudyError(
                f"{folder.place(checkpoint_name(record.name))} must be readable, but: "
                f"{err.strerror or err}. Free it, or take another trial's."
            ) from err
        if state is None:
            kept = [r.number for r in self.records if checkpoint_name(r.name) in names]
            shown = ", ".join(map(str, kept[:10])) or "none"
            raise StudyError(
                f"The checkpoint of trial {record.number} of {self.name} must have "
                f"been kept, but was not; kept are those of trials: {shown}. Name one "
                "of these, or train it again: "
                f"orthotune.train(study.config({record.number}))"
            )
        return trained_classifier(state["trial"])

    @functools.cached_property
    def _read(self) -> "_Read":
        """The record, read once."""
        with record_to_read(self.name, self.storage) as record:
            with copied_log(record) as log:
                if log.header is None:
                    raise missing_study(self.name, self.storage)
                check_format(log.header, record)
                epochs = log.header["definition"]["search.max_epochs"]
                live = is_locked(self.folder / LOCK)
                journal = Journal(log, epochs, live=live)
            return _Read(
                header=log.header, records=journal.records, confirm=journal.confirm
            )

    def _record(self, trial: int | None) -> TrialRecord:
        number = self.best_trial if trial is None else trial
        for record in self.records:
            if record.number == number:
                return record
        raise StudyError(
            f"`trial` must be the number of a trial of {self.name}, 0 to "
            f"{len(self.records) - 1}, but got {number!r}."
        )

    @functools.cached_property
    def _best(self) -> Best | None:
        return find_best(self.definition, self.records, self._read.confirm)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What a record holds.

    Args:
        header: Its first event.
        records: The trials.
        confirm: What was begun to be confirmed.
    """

    header: Mapping[str, Any]
    records: Sequence[TrialRecord]
    confirm: ConfirmSettings | None


def load_study(
    name_or_path: str | os.PathLike[str],
    storage: str | os.PathLike[str] = "studies",
    *,
    imports: Sequence[str] = (),
) -> LoadedStudy:
    """A study that somebody has run, or runs now; nothing of it is changed.

    Args:
        name_or_path: Its name, or the path of its folder.
        storage: Where studies of that name are: a folder or a URI.
        imports: Modules that register what its trials name, as `--import`.

    Raises:
        PluginError: If a module cannot be imported.
        StudyError: If there is none, or its record cannot be read.

    Example:
        >>> load_study("unknown", storage="nowhere")
        Traceback (most recent call last):
        orthotune.errors.StudyError: nowhere/unknown must be the folder of a study, \
but there is no record.jsonl in it. There is no study in nowhere.
    """
    import_plugins(imports)
    name, place = os.fspath(name_or_path), os.path.expanduser(os.fspath(storage))
    if not is_remote(place) and not Path(place, name, RECORD).exists():
        folder = Path(os.path.realpath(os.path.expanduser(name)))
        if (folder / RECORD).exists():
            name, place = folder.name, str(folder.parent)
    found = LoadedStudy(name, place)
    _ = found.id  # what is not there is said now
    return found
