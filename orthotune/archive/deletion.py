"""The end of a study's files."""

import contextlib
import shutil

from orthotune.archive.loaded import LoadedStudy
from orthotune.errors import StudyError
from orthotune.record.mirror import RecordMirror
from orthotune.storage.folder import StorageFolder, is_remote, joined
from orthotune.storage.lock import study_lock
from orthotune.storage.redaction import without_secrets
from orthotune.study.record_opening import LOCK, RECORD
from orthotune.tracking.deletion import DeletableRuns


def delete_study(study: LoadedStudy, runs: DeletableRuns) -> None:
    """Delete a study's runs in MLflow and then its files, here and in its storage.

    Args:
        study: The study.
        runs: Its runs.

    Raises:
        StudyError: If a process runs it, or something cannot be deleted: what is left
            is deleted by the next call.
    """
    folder = study.folder
    remote = joined(study.storage, study.name) if is_remote(study.storage) else None
    with contextlib.ExitStack() as stack:
        if folder.exists():
            stack.enter_context(study_lock(folder / LOCK))
        if remote is not None:
            mirror = RecordMirror(folder / RECORD, remote)
            mirror.acquire()
            stack.callback(mirror.close)
        runs.delete()
        try:
            if folder.exists():
                shutil.rmtree(folder)
            if remote is not None:
                StorageFolder(remote).clear()
        except OSError as err:
            raise StudyError(
                f"The files of {study.name} must be ones that can be deleted, but: "
                f"{without_secrets(str(err))}. Free them, and delete it again."
            ) from err
