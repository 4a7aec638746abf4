"""A report of a study so far, also while another process runs it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from orthotune.errors import StudyError
from orthotune.record.confirmation import with_recorded
from orthotune.record.identity import Fingerprints, definition, fingerprints_in
from orthotune.record.journal import Journal
from orthotune.record.study_definition import Study
from orthotune.record.warm_start import WarmStart
from orthotune.storage.lock import is_locked
from orthotune.study.record_opening import (
    LOCK,
    check_continued,
    copied_log,
    record_to_read,
    study_folder,
)
from orthotune.study.result import R, ReportWriter


def report_so_far(
    study: Study, storage: str, writer: Callable[[Fingerprints], ReportWriter[R]]
) -> R:
    """Write what a study leaves for people, as far as it has come.

    No data are read: they may be on the machines that train alone.

    Args:
        study: The study.
        storage: Where it keeps its files.
        writer: Gives, by the fingerprints of the data that the study began with, what
            writes it into the study's folder on this machine.

    Raises:
        StudyError: If it has not begun, asks another question, or cannot be read; if
            the folder cannot be written to.
    """
    folder = study_folder(study.settings.name, storage)
    with _so_far(study, storage) as (study, journal, fingerprints):
        write = writer(fingerprints)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            recorded = with_recorded(study, journal)
            return write(recorded, folder, journal.records, journal.commits)
        except OSError as err:
            raise StudyError(
                f"{folder} must be writable for a report, but: {err.strerror}. Free "
                "it, or ask whose it is."
            ) from err


@contextmanager
def _so_far(
    study: Study, storage: str
) -> Iterator[tuple[Study, Journal, Fingerprints]]:
    """A study as it began, its journal as it is now, its data; nothing is changed."""
    name, epochs = study.settings.name, study.settings.search.max_epochs
    with record_to_read(name, storage) as record, copied_log(record) as log:
        if log.header is None:
            raise StudyError(
                f"{study.path}: the study {name} must have begun to be reported, "
                f"but there is no record of it ({record}). Start it without "
                "--report, or name its --storage."
            )
        fingerprints = fingerprints_in(log.header.get("definition", {}))
        asked = definition(study, fingerprints)
        check_continued(study, log.header, asked, record)
        live = is_locked(record.with_name(LOCK))
        study = replace(study, warm_start=WarmStart.of(log.header))
        yield study, Journal(log, epochs, live=live), fingerprints
