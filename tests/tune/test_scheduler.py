import random
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.study.study_file import read_study
from orthotune.tune.scheduler import NewestFirst, Replay, build_scheduler
from tests.made_records import metrics
from tests.ray_part import RayTrial, Session

TRIALS, CONCURRENT = 9, 3


@pytest.fixture
def study(tiny_file):
    """Rungs at 1, 2, 4 and 8 epochs of 9."""
    return read_study(
        str(tiny_file),
        {
            "search.max_epochs": 9,
            "search.reduction_factor": 2,
            "search.searcher": "random",
        },
    )


def opened(path):
    return Journal(EventLog(path), 9)


def rungs(scheduler):
    """The values of every rung, by milestone; the trials' names do not count."""
    (bracket,) = scheduler._brackets
    return {milestone: sorted(values.values()) for milestone, values in bracket._rungs}


def uninterrupted(study, path, seed):
    """A whole session with random results: every report with what was decided.

    Each is `(number, epoch, error, diverged, decision)`.
    """
    rng = random.Random(seed)
    session = Session(study, path, scheduler=build_scheduler(study))
    running, told, begun = [], [], 0
    while running or begun < TRIALS:
        while len(running) < CONCURRENT and begun < TRIALS:
            running.append(session.start())
            begun += 1
        trial = rng.choice(running)
        epoch = session.journal[trial.number].epoch + 1
        error, diverged = rng.random(), rng.random() < 0.03
        decision = session.epoch(trial, epoch, error, diverged=diverged)
        told.append((trial.number, epoch, error, diverged, decision))
        if decision == TrialScheduler.STOP:
            running.remove(trial)
    return session, told


def continued(study, path, told):
    """What a new session's scheduler decides on the reports that are left."""
    journal = opened(path)
    for number in Replay(build_scheduler(study), study, journal).everything():
        journal.end(number, Status.STOPPED)
    for record in journal.open:
        if journal.natural_end(record.number) != Status.STOPPED:
            journal.end(record.number, journal.natural_end(record.number))
    journal._log.close()
    scheduler = build_scheduler(study)
    replay = Replay(scheduler, study, opened(path))
    replay.ended()
    for record in opened(path).open:
        replay.trial(record, f"new-{record.number}")
    decisions = []
    for number, epoch, error, diverged, _ in told:
        trial = RayTrial(f"new-{number}")
        if number not in scheduler._trial_info:
            scheduler.on_trial_add(None, trial)  # as Ray does, also for the resumed
        result = metrics(error) | {"epoch": epoch}
        decision = TrialScheduler.STOP
        if not diverged and epoch < 9:
            decision = scheduler.on_trial_result(None, trial, result)
        if decision == TrialScheduler.STOP:
            scheduler.on_trial_complete(None, trial, result)
        decisions.append(decision)
    return decisions, scheduler


def prefixes(path, tmp_path):
    """The log as it was after every event: how many reports, and the file."""
    part = tmp_path / "part.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        part.write_bytes(b"".join(lines[:count]))
        yield sum(b'"event":"epoch"' in line for line in lines[:count]), part


@pytest.mark.parametrize("seed", range(4))
def test_a_scheduler_decides_after_any_break_as_it_would_have_without(
    study, path, tmp_path, seed
):
    session, told = uninterrupted(study, path, seed)
    decided = [decision for *_, decision in told]
    early = [t for t in told if t[4] == TrialScheduler.STOP and t[1] < 9 and not t[3]]
    assert early  # or there would be nothing to decide
    for count, part in prefixes(path, tmp_path):
        decisions, scheduler = continued(study, part, told[count:])
        assert decisions == decided[count:], count
        assert rungs(scheduler) == rungs(session.scheduler), count


@pytest.mark.parametrize("seed", range(4))
def test_who_was_condemned_but_whose_end_was_not_written_is_named(
    study, path, tmp_path, seed
):
    _, told = uninterrupted(study, path, seed)
    named = 0
    for count, part in prefixes(path, tmp_path):
        journal = opened(part)
        expected = {
            number
            for number, epoch, _, diverged, decision in told[:count]
            if decision == TrialScheduler.STOP and epoch < 9 and not diverged
            if not journal[number].status.ended
        }
        found = Replay(build_scheduler(study), study, journal).everything()
        assert found == expected
        named += len(found)
    assert named > 0


def journal_with(path, histories):
    """A journal of open trials with these errors by epoch, told in turn."""
    journal = opened(path)
    for number in range(len(histories)):
        journal.suggest(f"key{number}", {})
        journal.start(number)
    for number, errors in enumerate(histories):
        for epoch, error in enumerate(errors, 1):
            journal.report(number, epoch, metrics(error))
    return journal


def test_a_trial_under_a_new_name_is_recorded_once(study, path):
    journal = journal_with(path, [[0.5, 0.4, 0.3], [0.6, 0.5, 0.4]])
    journal.end(0, Status.STOPPED)
    scheduler = build_scheduler(study)
    replay = Replay(scheduler, study, journal)
    replay.ended()
    replay.trial(journal[1], "new")
    expected = {1: [-0.6, -0.5], 2: [-0.5, -0.4], 4: [], 8: []}
    assert rungs(scheduler) == expected
    trial = RayTrial("new")
    scheduler.on_trial_add(None, trial)  # now by Ray itself
    result = metrics(0.9) | {"epoch": 2}  # trained again, from an older checkpoint
    assert scheduler.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE
    assert rungs(scheduler) == expected
    scheduler.on_trial_result(None, trial, metrics(0.3) | {"epoch": 4})
    assert rungs(scheduler) == {**expected, 4: [-0.3]}


def test_only_the_trials_that_have_ended_are_told_before_they_go_on(study, path):
    journal = journal_with(path, [[0.5], [0.6], [0.7]])
    journal.end(1, Status.FAILED, "KeyError: 'x'")
    scheduler = build_scheduler(study)
    Replay(scheduler, study, journal).ended()
    assert rungs(scheduler)[1] == [-0.6]


def test_what_was_told_to_the_scheduler_changes_no_record(study, path):
    journal = journal_with(path, [[0.1] * 9, [0.9]])
    content = path.read_bytes()
    assert Replay(build_scheduler(study), study, journal).everything() == {1}
    assert path.read_bytes() == content
    assert [record.status for record in journal.open] == [Status.RUNNING] * 2


def test_without_a_scheduler_nobody_is_condemned(tiny_file, path):
    study = read_study(str(tiny_file), {"search.scheduler": "none"})
    scheduler = build_scheduler(study)
    assert type(scheduler) is NewestFirst
    journal = journal_with(path, [[0.1, 0.1], [0.9, 0.9], [1.0]])
    replay = Replay(scheduler, study, journal)
    assert replay.everything() == set()
    replay.ended()
    replay.trial(journal[0], "new")


def test_the_scheduler_is_the_one_the_study_names(study):
    scheduler = build_scheduler(study)
    assert isinstance(scheduler, AsyncHyperBandScheduler)
    assert sorted(rungs(scheduler)) == [1, 2, 4, 8]
    assert scheduler.metric == "val_error"
    trial = RayTrial("a")
    scheduler.on_trial_add(None, trial)
    last = metrics(0.1) | {"epoch": 9, "training_iteration": 1}
    assert scheduler.on_trial_result(None, trial, last) == TrialScheduler.STOP


def test_a_trial_that_went_on_past_a_rung_is_not_condemned_there(study, path):
    """With several at once a session let it go before it knew of the better one."""
    journal = journal_with(path, [[0.1], [0.9, 0.9, 0.9]])
    replay = Replay(build_scheduler(study), study, journal)
    assert replay.everything() == set()
    journal.report(1, 4, metrics(0.9))  # at the next rung, alone
    assert Replay(build_scheduler(study), study, journal).everything() == set()
    journal.report(0, 2, metrics(0.1))
    journal.report(0, 3, metrics(0.1))
    journal.report(0, 4, metrics(0.1))
    journal.report(1, 5, metrics(0.9))
    assert Replay(build_scheduler(study), study, journal).everything() == set()


def test_a_trial_that_diverged_is_not_condemned_for_it(study, path):
    journal = journal_with(path, [[0.1], [0.2], []])
    journal.report(2, 1, metrics(1.0, diverged=1.0))  # and its end was not written
    scheduler = build_scheduler(study)
    assert Replay(scheduler, study, journal).everything() == {1}
    assert rungs(scheduler)[1] == [-1.0, -0.2, -0.1]


@pytest.mark.parametrize("name", ["asha", "none"])
def test_of_the_trials_that_wait_the_newest_goes_first(tiny_file, name):
    study = read_study(str(tiny_file), {"search.scheduler": name})
    scheduler = build_scheduler(study)
    statuses = [Trial.TERMINATED, Trial.PENDING, Trial.PENDING, Trial.RUNNING]
    trials = [SimpleNamespace(status=status) for status in statuses]
    controller = SimpleNamespace(get_trials=lambda: trials)
    assert scheduler.choose_trial_to_run(controller) is trials[2]
    assert scheduler.choose_trial_to_run(controller) is trials[2]  # asking starts none
    trials[2].status = Trial.RUNNING
    assert scheduler.choose_trial_to_run(controller) is trials[1]
    trials[1].status = Trial.RUNNING
    assert scheduler.choose_trial_to_run(controller) is None
