import pytest

from orthotune.record.trial_record import Status
from orthotune.verdicts.replicates import Replicate, result_of
from tests.ablation.cells import found
from tests.ablation.small import FULL, L2, OFF
from tests.made_records import record


def test_a_diverged_replicate_counts_with_the_worst_value(tmp_path):
    values = {FULL: [0.1, 0.2, 0.3], L2: [0.1, 0.2, 0.3], OFF: [0.1] * 3}
    values[OFF][1] = Status.DIVERGED
    findings = found(tmp_path, values)
    assert [item.value for item in findings.arms[OFF]] == [0.1, 1.0, 0.1]
    summary = findings.summaries[OFF]
    assert (summary.n, summary.num_diverged) == (3, 1)
    assert summary.mean == pytest.approx(0.4)
    assert findings.missing == []


def test_what_has_not_ended_with_a_result_has_no_value():
    assert result_of(record(0, [0.9, 0.25]), "val_error") == 0.25
    for status in set(Status) - {Status.FINISHED, Status.DIVERGED}:
        assert result_of(record(0, [0.9, 0.25], status), "val_error") is None


def test_a_curve_is_the_worst_there_is_from_the_divergence_on():
    whole = Replicate(seed=1, value=0.25, record=record(0, [0.9, 0.5, 0.25]))
    assert whole.curve("val_error", 3) == [0.9, 0.5, 0.25]
    cut = record(1, [0.75, 0.5], Status.DIVERGED)
    diverged = Replicate(seed=2, value=1.0, record=cut)
    assert diverged.curve("val_error", 4) == [0.75, 1.0, 1.0, 1.0]
