"""What the runs of a study say of themselves: their names and tags."""

from collections.abc import Mapping

from orthotune.record.trial_record import TrialRecord

COPIED_TAGS = (
    "mlflow.user",
    "mlflow.source.type",
    "mlflow.source.name",
    "mlflow.source.git.commit",
    "mlflow.source.git.branch",
    "mlflow.source.git.dirty",
    "host",
)
"""Of the study's tags, those that every run has."""


def origin_tags(tags: Mapping[str, str], name: str, study_id: str) -> dict[str, str]:
    """The tags that every run of a study has.

    Args:
        tags: Where the study comes from.
        name: Its name.
        study_id: Its id.

    Example:
        >>> origin_tags({"host": "node", "seed": "1"}, "digits", "0a1b")
        {'host': 'node', 'orthotune.study': 'digits', 'orthotune.study_id': '0a1b'}
    """
    return {
        **{name: tags[name] for name in COPIED_TAGS if name in tags},
        "orthotune.study": name,
        "orthotune.study_id": study_id,
    }


def study_tags(tags: Mapping[str, str], name: str, study_id: str) -> dict[str, str]:
    """The tags of a study's own run.

    Args:
        tags: Where the study comes from.
        name: Its name.
        study_id: Its id.
    """
    return {
        **tags,
        "orthotune.kind": "study",
        "orthotune.study": name,
        "orthotune.study_id": study_id,
    }


def group_tags(origin: Mapping[str, str], parent_id: str, name: str) -> dict[str, str]:
    """The tags of the run of a group of trials.

    Args:
        origin: As `origin_tags`.
        parent_id: The study's run.
        name: The group's name.
    """
    return {
        **origin,
        "mlflow.parentRunId": parent_id,
        "orthotune.kind": "group",
        "orthotune.group": name,
    }


def trial_run(
    record: TrialRecord, seed: int, parent_id: str
) -> tuple[str, dict[str, str]]:
    """The name of a trial's run, and its own tags.

    Args:
        record: The trial.
        seed: Its seed.
        parent_id: The study's run, or its group's.

    Example:
        >>> trial_run(TrialRecord(number=3, fields={}), 7, "f00")[0]
        'trial-0003'
    """
    name = f"trial-{record.number:04d}"
    tags = {
        "mlflow.parentRunId": parent_id,
        "orthotune.kind": "trial",
        "orthotune.trial": str(record.number),
        "orthotune.key": record.key,
        "orthotune.attempt": str(record.attempt),
        "seed": str(seed),
    }
    if record.group is not None:
        label = record.label or f"seed {seed}"  # older records have none
        name = f"{record.group}, {label}"
        tags["orthotune.group"] = record.group
    if record.reused is not None:
        tags["orthotune.reused"] = record.reused
    if record.validates is not None:
        tags["orthotune.validates"] = str(record.validates)
    return name, tags
