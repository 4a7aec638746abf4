from orthotune.record.trial_record import TrialRecord
from orthotune.tracking.run_content import group_tags, origin_tags, trial_run

CELL = {"fields": {}, "group": "modulation=off"}


def test_a_trial_of_a_group_is_named_by_it_and_its_label():
    cell = TrialRecord(number=3, **CELL, label="draw 2")
    assert trial_run(cell, 7, "f00")[0] == "modulation=off, draw 2"
    # Records of earlier versions have no label.
    assert trial_run(TrialRecord(number=3, **CELL), 7, "f00")[0] == (
        "modulation=off, seed 7"
    )


def test_a_trial_says_what_it_was_taken_from_or_validates_if_it_does():
    _, plain = trial_run(TrialRecord(number=1, fields={}), 7, "f00")
    _, other = trial_run(
        TrialRecord(number=1, fields={}, reused="there/f01", validates=0), 7, "f00"
    )
    assert set(other) - set(plain) == {"orthotune.reused", "orthotune.validates"}
    assert other["orthotune.validates"] == "0"


def test_the_runs_below_a_study_have_its_origin_and_not_its_other_tags():
    tags = {"host": "here", "mlflow.user": "somebody", "seed": "3"}
    group = group_tags(origin_tags(tags, "digits", "0a1b"), "f00", "full")
    assert group["mlflow.user"] == "somebody"
    assert group["mlflow.parentRunId"] == "f00"
    assert "seed" not in group
