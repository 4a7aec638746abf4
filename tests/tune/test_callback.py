import pickle

import pytest

from orthotune.errors import StudyStoppedError
from orthotune.record.trial_record import Status
from orthotune.tune.assignment import UNSAVED
from orthotune.tune.callback import WORKER_DEATHS, JournalCallback
from orthotune.tune.stopper import SAME_ERRORS, all_failed_alike
from tests.full_disk import full_disk
from tests.made_records import metrics
from tests.ray_part import RayTrial, Session

TRACE = """\
Traceback (most recent call last):
  File "loop.py", line 3, in step
ValueError: `x` must be 1, but got 2.

"""


def failed(session, *lines):
    """So many trials that fail, each with a last line of its own."""
    for line in lines:
        session.fail(session.start(), f"Traceback:\n  {line}\n")


def test_a_started_trial_runs(session):
    trial = session.start()
    assert trial.number == 0
    assert session.journal[0].status == Status.RUNNING


def test_an_epoch_is_reported_and_what_is_none_of_ours_is_not(session):
    trial = session.start()
    more = {"training_iteration": 1, "pid": 7, "config/seed": 0.3}
    session.result(trial, metrics(0.25) | more | {"epoch": 1, "done": False})
    assert session.journal[0].history == {1: metrics(0.25)}
    assert session.journal[0].status == Status.RUNNING
    assert not session.stopper.stop_all()


@pytest.mark.parametrize(
    ("errors", "how", "status"),
    [
        ([0.5, 0.4, 0.3], {}, Status.FINISHED),
        ([0.5, 0.4], {"stop": True}, Status.STOPPED),
        ([0.5, 1.0], {"diverged": True}, Status.DIVERGED),
    ],
)
def test_a_trial_that_ends_has_its_last_epoch_and_its_status(
    session, errors, how, status
):
    session.run(session.start(), errors, **how)
    assert session.journal[0].status == status
    assert session.journal[0].epoch == len(errors)
    assert session.journal[0].last("val_error") == errors[-1]


def test_an_error_fails_the_trial_with_its_last_line_and_is_no_epoch(session):
    trial = session.start()
    session.epoch(trial, 1, 0.5)
    session.fail(trial, TRACE)
    assert session.journal[0].status == Status.FAILED
    assert session.journal[0].error == "ValueError: `x` must be 1, but got 2."
    assert session.journal[0].history == {1: metrics(0.5)}
    assert not session.stopper.stop_all()


def test_an_error_without_words_is_unknown(session):
    session.fail(session.start(), "\n")
    assert session.journal[0].error == "unknown error"


def test_lack_of_memory_is_a_result_of_its_own(session):
    trial = session.start()
    session.epoch(trial, 1, 0.5)
    session.run_out_of_memory(trial)
    assert session.journal[0].status == Status.OOM
    assert "CUDA out of memory" in session.journal[0].error
    assert session.journal[0].history == {1: metrics(0.5)}


def test_no_number_of_trials_without_memory_ends_the_study(session):
    for _ in range(2 * SAME_ERRORS):
        session.run_out_of_memory(session.start())
    assert not session.stopper.stop_all()


def test_a_worker_that_keeps_dying_fails_its_trial(session):
    session.die(session.start())
    assert session.journal[0].status == Status.FAILED
    assert "its worker died more than 3 times" in session.journal[0].error


def test_a_trial_that_ray_gives_up_for_the_death_of_an_idle_worker_goes_on(
    session, capsys
):
    trial = session.start()
    session.result(trial, metrics(0.5) | {"epoch": 1, "done": False})
    session.die(trial, deaths=1)
    assert session.journal[0].status == Status.RUNNING
    assert session.stopper.stop_all()  # and the study is run anew
    assert session.stopper.again
    assert session.stopper.error is None
    assert "the worker of trial 0 died" in capsys.readouterr().err


def test_a_trial_whose_nodes_are_taken_away_between_epochs_goes_on(session):
    trial = session.start()
    session.epoch(trial, 1, 0.5)
    for _ in range(WORKER_DEATHS):
        session.callback.on_trial_recover(1, [], trial)
    session.epoch(trial, 2, 0.4)
    session.die(trial, deaths=1)  # one too many for Ray
    assert session.journal[0].status == Status.RUNNING
    assert session.stopper.again


def test_a_trial_that_dies_in_one_epoch_again_and_again_is_failed(session):
    trial = session.start()
    session.epoch(trial, 1, 0.5)
    session.die(trial)
    assert session.journal[0].status == Status.FAILED
    assert "without finishing an epoch" in session.journal[0].error


def test_deaths_count_on_where_every_one_of_them_ends_a_tuner(tiny_study, path):
    """As in a population, whose members Ray never starts again by itself."""
    session = Session(tiny_study, path)
    trial, deaths = session.start(), {}
    for death in range(WORKER_DEATHS + 1):
        assert session.journal[0].status == Status.RUNNING, death
        callback = JournalCallback(
            session.journal, session.stopper, deaths, waiting=True
        )
        callback.on_trial_error(1, [], trial)
    assert session.journal[0].status == Status.FAILED
    assert "its worker died more than 3 times" in session.journal[0].error


def test_code_that_kills_every_worker_ends_the_study(session):
    for _ in range(SAME_ERRORS):
        session.die(session.start())
    assert "its worker died" in session.stopper.trace


def test_a_checkpoint_that_cannot_be_written_ends_the_study_and_keeps_the_epoch(
    session, path, tiny_study
):
    trial = session.start()
    unsaved = {UNSAVED: "/full/checkpoints: No space left on device"}
    session.result(trial, metrics(0.5) | {"epoch": 1, "done": False} | unsaved)
    assert session.stopper.stop_all()
    message = "checkpoints must be writable, but /full/checkpoints: No space left on"
    assert isinstance(session.stopper.error, StudyStoppedError)
    assert message in str(session.stopper.error)
    record = Session(tiny_study, path).journal[0]
    assert (record.status, record.epoch) == (Status.INTERRUPTED, 1)


def test_one_and_the_same_error_of_the_first_trials_ends_the_study(session):
    failed(session, *["KeyError: 'x'"] * (SAME_ERRORS - 1))
    assert not session.stopper.stop_all()
    failed(session, "KeyError: 'x'")
    assert session.stopper.stop_all()
    assert session.stopper.trace == "Traceback:\n  KeyError: 'x'\n"
    assert session.stopper.error is None
    numbers = [record.number for record in all_failed_alike(session.journal)]
    assert numbers == list(range(SAME_ERRORS))


@pytest.mark.parametrize(
    ("errors", "how"),
    [
        ([0.5, 0.4, 0.3], {}),
        ([0.5], {"stop": True}),
        ([1.0], {"diverged": True}),
    ],
)
def test_errors_do_not_end_a_study_in_which_one_trial_has_worked(session, errors, how):
    session.run(session.start(), errors, **how)
    failed(session, *["KeyError: 'x'"] * 2 * SAME_ERRORS)
    assert not session.stopper.stop_all()
    assert all_failed_alike(session.journal) == []


def test_different_errors_do_not_end_a_study(session):
    failed(session, *[f"KeyError: {n}" for n in range(2 * SAME_ERRORS)])
    assert not session.stopper.stop_all()


def test_trials_that_still_run_do_not_speak_against_broken_code(session):
    session.start()
    failed(session, *["KeyError: 'x'"] * SAME_ERRORS)
    assert session.stopper.stop_all()


@pytest.mark.parametrize("room", [0, 30, 90])
@pytest.mark.parametrize(
    "tell",
    [
        lambda session, trial: session.run(trial, [0.5, 0.4, 0.3]),
        lambda session, trial: session.run(trial, [1.0], diverged=True),
        lambda session, trial: session.fail(trial, TRACE),
        lambda session, trial: session.run_out_of_memory(trial),
        lambda session, trial: session.die(trial),
        lambda session, trial: session.start(),
    ],
)
def test_a_log_that_cannot_be_written_ends_the_study_and_never_raises(
    session, path, tiny_study, tell, room
):
    trial = session.start()
    with full_disk(path, room):
        tell(session, trial)
    tell(session, trial)  # Ray goes on a little, and now there would be room
    assert session.stopper.stop_all()
    assert isinstance(session.stopper.error, StudyStoppedError)
    assert "must be writable, but: File too large" in str(session.stopper.error)
    again = Session(tiny_study, path).journal  # what could not be written is not there
    assert [record.status.ended for record in again.records].count(True) == 0
    assert again[0].history == {}


def test_no_end_is_written_where_the_last_epoch_could_not_be(session, path, tiny_study):
    trial = session.start()
    session.epoch(trial, 1, 0.5)
    session.epoch(trial, 2, 0.4)
    with full_disk(path, 200):  # too little for an epoch, enough for an end
        session.epoch(trial, 3, 0.3)
    record = Session(tiny_study, path).journal[0]
    assert (record.status, record.epoch) == (Status.INTERRUPTED, 2)


def test_the_first_reason_to_end_is_the_one_that_is_told(session, path):
    trial = session.start()
    session.result(trial, metrics(0.5) | {"epoch": 1, UNSAVED: "first"})
    with full_disk(path):
        session.epoch(trial, 2, 0.4)
    assert "but first." in str(session.stopper.error)


def test_what_ray_writes_to_disk_holds_no_journal(session):
    failed(session, *["KeyError: 'x'"] * SAME_ERRORS)
    session.stopper.error = StudyStoppedError("open files cannot be pickled")
    assert vars(pickle.loads(pickle.dumps(session.callback))) == {}
    copy = pickle.loads(pickle.dumps(session.stopper))
    assert not copy.stop_all()


def test_no_trial_is_stopped_for_its_own_result(session):
    assert not session.stopper("id1", {"epoch": 1, "val_error": 1.0})


def test_the_name_of_rays_trial_does_not_matter(session):
    config = session.start().config
    trial = RayTrial("another name", config)
    session.callback.on_trial_result(1, [], trial, metrics(0.5) | {"epoch": 1})
    assert session.journal[0].epoch == 1
