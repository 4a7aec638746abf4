"""Records as a journal would hold them."""

from orthotune.training.metrics import METRICS
from orthotune.tuning.journal import Status, TrialRecord


def record(number, errors, status=Status.FINISHED, **fields):
    """A trial whose validation error by epoch is given."""
    diverged = float(status == Status.DIVERGED)
    return TrialRecord(
        number=number,
        trial_id=f"id{number}",
        fields={"optimizer.lr": 0.01 * (number + 1), **fields},
        history={
            epoch: {**dict.fromkeys(METRICS, 0.5), "val_error": error}
            | {"diverged": diverged}
            for epoch, error in enumerate(errors, 1)
        },
        status=status,
        error="ValueError: broken" if status == Status.FAILED else None,
    )
