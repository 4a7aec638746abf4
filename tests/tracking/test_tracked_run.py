from orthotune.record.trial_record import Status
from orthotune.tracking.tracked_run import (
    RUN_STATUS,
    TrackedRun,
    param_entities,
    status_tags,
)
from tests.made_records import record


def test_every_status_of_a_trial_is_one_of_mlflows():
    assert set(RUN_STATUS) == set(Status)
    for status in Status:
        assert (RUN_STATUS[status] == "RUNNING") == (
            status in (Status.WAITING, Status.RUNNING)
        )


def test_a_trial_that_ended_alike_at_another_time_is_not_shown_yet():
    trial = record(0, [0.5], Status.FAILED)
    run = TrackedRun(
        run_id="f00", status="FAILED", shown="failed", ended_ms=trial.ended_ms
    )
    assert run.shows(trial, Status.FAILED)
    assert not run.shows(trial, Status.OOM)  # FAILED to MLflow as well
    trial.ended_ms += 1
    assert not run.shows(trial, Status.FAILED)


def test_what_mlflow_refuses_in_a_param_is_replaced_cut_or_left_out():
    (param,) = param_entities({"space.a{b}": "x" * 7000, "n" * 251: 1})
    assert (param.key, param.value) == ("space.a:b:", "x" * 6000)


def test_the_tags_of_an_end_say_how_it_came():
    diverged = status_tags(record(0, [0.9, 1.0], Status.DIVERGED), Status.DIVERGED)
    assert diverged == {"orthotune.status": "diverged", "diverged": "in epoch 2"}
    failed = record(1, [0.9], Status.FAILED)
    failed.error = "e" * 6000
    assert status_tags(failed, Status.FAILED)["error"] == "e" * 5000
