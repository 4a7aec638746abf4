"""Records as a journal would hold them."""

from orthotune.config.metrics import METRICS
from orthotune.record.trial_record import Status, TrialRecord

DAY_MS = 1_700_000_000_000
"""When the trials of the tests start: some day in 2023, since 1970."""


def metrics(error, diverged=0.0):
    """What an epoch reports."""
    return dict.fromkeys(METRICS, 0.5) | {"val_error": error, "diverged": diverged}


def record(number, errors, status=Status.FINISHED, **fields):
    """A trial whose validation error by epoch is given: one a second."""
    diverged = float(status == Status.DIVERGED)
    started_ms = DAY_MS + 100_000 * number
    ended_ms = started_ms + 1000 * len(errors) + 500
    return TrialRecord(
        number=number,
        key=f"key{number}",
        fields={"optimizer.lr": 0.01 * (number + 1), **fields},
        history={
            epoch: metrics(error, diverged) for epoch, error in enumerate(errors, 1)
        },
        reported_ms={n: started_ms + 1000 * n for n in range(1, len(errors) + 1)},
        status=status,
        error="ValueError: broken" if status == Status.FAILED else None,
        started_ms=started_ms,
        ended_ms=ended_ms if status.ended or status == Status.INTERRUPTED else None,
    )
