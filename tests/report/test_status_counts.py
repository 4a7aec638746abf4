"""How trials ended, counted."""

from orthotune.record.trial_record import Status
from orthotune.report.status_counts import counts, divergence_rate
from tests.made_records import record

RECORDS = [
    record(0, [0.5, 0.25]),
    record(1, [0.9], Status.STOPPED),
    record(2, [1.0], Status.DIVERGED),
    record(3, [], Status.FAILED),
    record(4, [0.8], Status.OOM),
    record(5, [0.6], Status.INTERRUPTED),
]


def test_counts_name_only_what_happened():
    assert counts(RECORDS) == {
        Status.FINISHED: 1,
        Status.STOPPED: 1,
        Status.DIVERGED: 1,
        Status.FAILED: 1,
        Status.OOM: 1,
        Status.INTERRUPTED: 1,
    }
    assert counts([]) == {}


def test_the_divergence_rate_counts_what_has_ended():
    assert divergence_rate(RECORDS[:4]) == 1 / 4
    running = record(4, [0.5], Status.RUNNING)
    assert divergence_rate([*RECORDS[:4], running]) == 1 / 4
    assert divergence_rate([running]) == 0
