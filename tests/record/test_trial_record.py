import pytest

from orthotune.record.trial_record import PARTS, Status
from tests.made_records import record


@pytest.mark.parametrize("status", Status)
def test_only_what_waits_or_runs_or_is_interrupted_has_not_ended(status):
    not_ended = {"waiting", "running", "interrupted"}
    assert status.ended == (str(status) not in not_ended)


def test_what_changed_since_the_suggestion_is_trained_in_its_place():
    trial = record(0, [0.5], **{"data.batch_size": 64})
    assert trial.trained == trial.fields
    assert not trial.parted
    trial.changed_fields = {PARTS: 2, "optimizer.lr": 0.5}
    assert trial.parted
    assert trial.trained == {"optimizer.lr": 0.5, "data.batch_size": 64, PARTS: 2}
    assert trial.fields["optimizer.lr"] == 0.01


def test_a_trial_that_has_reported_nothing_is_at_epoch_zero():
    assert record(0, []).epoch == 0
    assert record(0, [0.5, 0.25]).last("val_error") == 0.25
