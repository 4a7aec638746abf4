"""Which studies there are in a storage."""

from orthotune.errors import StudyError
from orthotune.storage.folder import joined
from orthotune.storage.redaction import without_secrets
from orthotune.study.record_opening import RECORD, study_folder


def study_names(storage: str) -> list[str]:
    """The studies in a storage on this machine, by name.

    Args:
        storage: A folder; of a URI, those which this machine has worked on.
    """
    folder = study_folder("any", storage).parent
    try:
        return sorted(one.parent.name for one in folder.glob(f"*/{RECORD}"))
    except OSError:
        return []


def missing_study(name: str, storage: str) -> StudyError:
    """The error of a study that is not there."""
    names, place = study_names(storage), without_secrets(storage)
    shown = ", ".join(names[:8]) + (" ..." if names[8:] else "")
    known = f"There are: {shown}." if names else f"There is no study in {place}."
    return StudyError(
        f"{joined(place, name)} must be the folder of a study, but there is no "
        f"{RECORD} in it. {known}"
    )
