"""A study's trials as TensorBoard shows them: a second observer of its journal.

A trial is a run, with a scalar a metric by epoch, and at its end its configuration for
the page of hyperparameters. What is in the files is what the record says: a trial that
goes on in a later session is written anew, so that an epoch is there once whatever
died between the record and the files.
"""

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthotune.config.trial import TrialConfig
from orthotune.console import note
from orthotune.errors import ConfigError, StudyError
from orthotune.record.trial_record import TrialRecord
from orthotune.storage.redaction import first_line

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVENTS = "events.out.tfevents.*"


def check_tensorboard(folder: Path) -> None:
    """Refuse what cannot be written, before anything is started.

    Args:
        folder: Where the files are to go; it is made when the first trial starts.

    Raises:
        StudyError: If the package `tensorboard` is missing, or there can be no such
            folder.
    """
    if find_spec("tensorboard") is None:
        raise StudyError(
            "--tensorboard must find the package tensorboard, but it is not installed. "
            "Run: pip install tensorboard"
        )
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise StudyError(
            f"--tensorboard must name a folder that can be written to, but {there} is "
            "none. Name another."
        )


class TensorBoard:
    """Keeps the files of a study's trials; an observer of its journal.

    Args:
        folder: Where they go: a folder a trial, within one of the study's.
        name: The study's.
        study_id: Tells it from an earlier one of the same name.
        metric: What it minimizes.
    """

    def __init__(self, folder: Path, *, name: str, study_id: str, metric: str) -> None:
        self.folder = folder / f"{name}-{study_id}"
        self._metric = metric
        self._writers: dict[int, SummaryWriter] = {}
        self._failed = False

    def start(self, records: Sequence[TrialRecord]) -> None:
        """Write the ended trials whose files are not there, or not whole."""
        for record in records:
            if record.status.ended and not self._is_whole(record):
                self._guard(lambda record=record: self._write_all(record))

    def on_start(self, record: TrialRecord) -> None:
        """Begin a trial's file with what is known of it so far."""
        self._guard(lambda: self._begin(record))

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Write an epoch's metrics."""
        self._guard(lambda: self._write(record, epoch))

    def on_end(self, record: TrialRecord) -> None:
        """Close a trial's file."""
        self._guard(lambda: self._end(record))

    def close(self) -> None:
        """Close what is open, at the end of a session."""
        for number in list(self._writers):
            self._guard(self._writers.pop(number).close)

    def _guard(self, call: Callable[[], object]) -> None:
        """Call a method; the study must outlive its curves."""
        if self._failed:
            return
        try:
            call()
        except Exception as err:  # TensorBoard's writer raises what its thread met
            self._failed = True
            note(
                f"warning: TensorBoard's files in {self.folder} cannot be written "
                f"({first_line(err)}); training goes on, and the next session writes "
                "them anew."
            )

    def _place(self, record: TrialRecord) -> Path:
        return self.folder / record.name.rpartition("-")[0]

    def _is_whole(self, record: TrialRecord) -> bool:
        """Whether a trial's file was closed, which comes after its end."""
        ended_ms = record.ended_ms or 0
        files = self._place(record).glob(EVENTS)
        return any(path.stat().st_mtime * 1000 >= ended_ms for path in files)

    def _write_all(self, record: TrialRecord) -> None:
        self._begin(record)
        self._end(record)

    def _begin(self, record: TrialRecord) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = self._place(record)
        for earlier in place.glob(EVENTS):
            earlier.unlink()
        # The step tells a TensorBoard that runs to forget what it has read of them.
        self._writers[record.number] = SummaryWriter(str(place), purge_step=0)
        for epoch in list(record.history):
            self._write(record, epoch, flushed=False)
        self._writers[record.number].flush()

    def _write(self, record: TrialRecord, epoch: int, *, flushed: bool = True) -> None:
        writer = self._writers.get(record.number)
        if writer is None:
            return
        at_s = record.reported_ms[epoch] / 1000
        for name, value in record.history[epoch].items():
            writer.add_scalar(name, value, epoch, walltime=at_s)
        if flushed:
            writer.flush()

    def _end(self, record: TrialRecord) -> None:
        writer = self._writers.pop(record.number, None)
        if writer is None:
            return
        if record.status.ended and record.history:
            from torch.utils.tensorboard.summary import hparams

            values = {name: _shown(value) for name, value in _fields(record).items()}
            last = {self._metric: record.last(self._metric)}
            for summary in hparams(values, last):
                writer.file_writer.add_summary(summary)  # pyright: ignore[reportOptionalMemberAccess]
        writer.close()


def _fields(record: TrialRecord) -> dict[str, Any]:
    """A trial's configuration, without what nothing reads."""
    try:
        return TrialConfig.from_dict(record.trained).in_effect()
    except ConfigError:  # of another version
        return record.trained


def _shown(value: object) -> object:
    """A field as TensorBoard takes it: a list or null as text."""
    return value if isinstance(value, (bool, int, float, str)) else str(value)
