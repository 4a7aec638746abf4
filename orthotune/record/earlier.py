"""The result that another study has of a trial."""

from collections.abc import Mapping
from dataclasses import dataclass

from orthotune.record.trial_record import Status


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """A trial that another study has run.

    Args:
        study: Its name.
        run_id: The trial's run in MLflow.
        status: How it ended: finished or diverged.
        history: Its metrics by epoch.
        computed_by: What has computed it, if that is known.
    """

    study: str
    run_id: str
    status: Status
    history: Mapping[int, Mapping[str, float]]
    computed_by: tuple[str, ...] = ()
