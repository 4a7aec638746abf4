from dataclasses import replace

import pytest

from orthotune.record.study_definition import Listed
from orthotune.record.trial_record import Status
from orthotune.study.completion import is_finished, to_repeat
from orthotune.tune.stopper import SAME_ERRORS


def limited(study, seconds):
    """The study with a time budget."""
    search = replace(study.settings.search, time_budget_s=seconds)
    return replace(study, settings=replace(study.settings, search=search))


def test_a_search_is_finished_once_the_last_of_its_trials_has_ended(
    session, tiny_study
):
    wanted = tiny_study.settings.search.num_trials
    for _ in range(wanted - 1):
        session.run(session.start(), [0.5, 0.4, 0.3])
        assert not is_finished(tiny_study, session.journal)
    last = session.start()
    assert not is_finished(tiny_study, session.journal)
    session.run(last, [0.9], stop=True)
    assert is_finished(tiny_study, session.journal)


def test_a_space_that_is_exhausted_finishes_a_search(session, tiny_study):
    session.run(session.start(), [0.5, 0.4, 0.3])
    session.journal.exhaust()
    assert is_finished(tiny_study, session.journal)


def test_a_time_budget_that_is_spent_finishes_a_search_with_trials_left(
    session, tiny_study
):
    session.epoch(session.start(), 1, 0.5)
    assert is_finished(limited(tiny_study, 1e-9), session.journal)
    assert not is_finished(limited(tiny_study, 1e6), session.journal)


def test_one_failed_trial_of_a_search_is_not_repeated(session, tiny_study):
    session.run(session.start(), [0.5, 0.4, 0.3])
    session.fail(session.start(), "ValueError: broken")
    assert list(to_repeat(tiny_study, session.journal)) == []


@pytest.mark.parametrize("seconds", [None, 1e-9])
def test_trials_that_have_all_failed_alike_are_repeated_whatever_was_spent(
    session, tiny_study, seconds
):
    study = limited(tiny_study, seconds)
    for _ in range(SAME_ERRORS):
        session.fail(session.start(), "ValueError: broken")
    assert len(to_repeat(study, session.journal)) == SAME_ERRORS
    confirmed = replace(study, searched=True)  # which repeats nothing of the search
    assert list(to_repeat(confirmed, session.journal)) == []
    assert not is_finished(study, session.journal)


def test_every_failed_trial_of_a_list_is_repeated(session, tiny_study):
    listed = replace(
        tiny_study, listed=(Listed(fields={}, group="full", label="seed 1"),) * 2
    )
    session.run(session.start(), [0.5, 0.4, 0.3])
    failed = session.start()
    session.fail(failed, "ValueError: broken")
    (again,) = to_repeat(listed, session.journal)
    assert (again.number, again.status) == (failed.number, Status.FAILED)
