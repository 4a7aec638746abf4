"""A report of a study so far, also while another process runs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from orthotune.errors import StudyError
from orthotune.record.identity import Definition, Fingerprints, definition
from orthotune.record.journal import Journal
from orthotune.record.provenance import provenance
from orthotune.record.study_definition import Study
from orthotune.storage.lock import is_locked
from orthotune.study.record_opening import (
    check_continued,
    copied_log,
    record_to_read,
    study_folder,
)
from orthotune.study.result import R, ReportWriter


def report_so_far(
    study: Study, storage: str, fingerprints: Fingerprints, write: ReportWriter[R]
) -> R:
    """Write what a study leaves for people, as far as it has come.

    Args:
        study: The study.
        storage: Where it keeps its files.
        fingerprints: Of every data set it names.
        write: Writes it, into the study's folder on this machine.

    Raises:
        StudyError: As `journal_to_read`; if the folder cannot be written to.
    """
    folder = study_folder(study.settings.name, storage)
    commit = provenance().get("mlflow.source.git.commit")
    with journal_to_read(study, storage, definition(study, fingerprints)) as journal:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return write(study, folder, journal.records, commit)
        except OSError as err:
            raise StudyError(
                f"{folder} must be writable for a report, but: {err.strerror}. Free "
                "it, or ask whose it is."
            ) from err


@contextmanager
def journal_to_read(study: Study, storage: str, asked: Definition) -> Iterator[Journal]:
    """The journal of a study as it is now; nothing of the study is changed.

    Args:
        study: The study.
        storage: Where it keeps its files.
        asked: What it asks.

    Raises:
        StudyError: If it has not begun, asks another question, or cannot be read.
    """
    name, epochs = study.settings.name, study.settings.search.max_epochs
    with record_to_read(name, storage) as record, copied_log(record) as log:
        if log.header is None:
            raise StudyError(
                f"{study.path}: the study {name} must have begun to be reported, "
                f"but there is no record of it ({record}). Start it without "
                "--report, or name its --storage."
            )
        check_continued(study, log.header, asked, record)
        yield Journal(log, epochs, live=is_locked(record.with_name("lock")))
