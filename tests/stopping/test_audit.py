import pytest

from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import SearchSettings, StudySettings
from orthotune.stopping.audit import audit_findings, is_drawn, is_known
from tests.made_records import metrics, record


def study_of(**search):
    settings = StudySettings(search=SearchSettings(**search))
    return Study(path="", settings=settings, space=SearchSpace(parameters=()))


def audited(number, errors, later, **how):
    one = record(number, errors, Status.STOPPED)
    first = len(errors) + 1
    one.audit = {n: metrics(error, **how) for n, error in enumerate(later, first)}
    return one


@pytest.fixture
def records():
    """Four that ran on, the best 0.1; of six that were stopped four were audited."""
    failed = audited(9, [0.9], [0.05])
    failed.error = "ValueError: broken"
    waits = audited(10, [0.9], [0.05])
    waits.status = Status.RUNNING
    return [
        *(record(n, [0.8, 0.5, 0.1 * (n + 1)]) for n in range(4)),
        record(4, [0.9], Status.STOPPED),
        audited(5, [0.9], [0.5, 0.05]),  # better than the best
        audited(6, [0.9, 0.8], [0.35]),  # than the fourth
        audited(7, [0.9], [0.4, 0.4]),  # as good as the fourth
        audited(8, [0.9], [0.0], diverged=1.0),
        failed,
        waits,
        record(11, [0.9, 0.9, 0.0], Status.DIVERGED),
    ]


def test_the_audited_are_compared_with_those_that_ran_on(records):
    found = audit_findings(records, study_of(max_epochs=3))
    assert [r.number for r in found.stopped] == [4, 5, 6, 7, 8, 9, 10]
    assert [one.record.number for one in found.audited] == [5, 6, 7, 8]
    assert (found.failed, found.open) == (1, 1)
    assert [r.number for r in found.best] == [0, 1, 2, 3]
    assert [one.record.number for one in found.better_than(4)] == [5, 6]
    assert [one.record.number for one in found.better_than(1)] == [5]
    assert found.regret == pytest.approx(0.05)
    assert found.epochs_saved == 6 * 2 + 1
    assert found.epochs_audited == 2 + 1 + 2 + 1 + 1 + 1


def test_an_audited_trial_is_never_among_the_best(records):
    assert [r.number for r in equal_budget(records, "val_error")] == [0, 1, 2, 3]
    alone = [audited(0, [0.9, 0.8], [0.0]), record(1, [0.9])]
    assert [r.number for r in equal_budget(alone, "val_error")] == [1]


def test_a_condemned_trial_has_ended_where_it_was_and_the_audit_has_the_rest(path):
    journal = Journal(EventLog(path), 3)
    journal.suggest("key", {})
    journal.start(0)
    journal.report(0, 1, metrics(0.5))
    journal.condemn(0)
    journal.condemn(0)
    journal.report(0, 2, metrics(0.4))
    journal.report(0, 2, metrics(0.3))  # again, after a death
    assert not is_known(journal[0], 3)
    journal.report(0, 3, metrics(0.2))
    assert is_known(journal[0], 3)
    journal.end(0, Status.FINISHED)
    journal._log.close()
    for one in (journal, Journal(EventLog(path), 3)):
        (found,) = one.records
        assert (found.status, found.epoch, found.trained_epochs) == ("stopped", 1, 3)
        assert dict(found.history) == {1: metrics(0.5)}
        assert found.audit == {2: metrics(0.4), 3: metrics(0.2)}
        assert (one.reports, one.num_reports) == ([(0, 1)], 3)
    assert path.read_bytes().count(b'"condemned"') == 1


def test_what_is_run_again_from_its_start_was_never_condemned(path):
    journal = Journal(EventLog(path), 3)
    journal.suggest("key", {})
    journal.report(0, 1, metrics(0.5))
    journal.condemn(0)
    journal.report(0, 2, metrics(0.4))
    journal.reopen(0)
    assert (journal[0].audit, journal.num_reports) == (None, 0)
    journal.report(0, 1, metrics(0.5))
    assert dict(journal[0].history) == {1: metrics(0.5)}


def test_the_draw_is_a_share_of_the_trials_by_the_seed_and_the_number():
    def drawn(share, seed):
        search = SearchSettings(audit=share, seed=seed)
        return {n for n in range(4000) if is_drawn(search, n)}

    assert (len(drawn(0.0, 1)), len(drawn(1.0, 1))) == (0, 4000)
    assert len(drawn(0.1, 1)) == pytest.approx(400, abs=4 * (4000 * 0.09) ** 0.5)
    assert drawn(0.1, 1) < drawn(0.2, 1)
    assert drawn(0.1, 1) != drawn(0.1, 2)
