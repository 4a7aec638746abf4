"""What a session does before Ray is asked for anything."""

from types import SimpleNamespace

import pytest

from orthotune.errors import StudyError
from orthotune.record.checkpoints import CheckpointFolder, checkpoint_name
from orthotune.record.trial_record import Status
from orthotune.study import session as module
from orthotune.tune.stopper import SAME_ERRORS


class Beginning(module.Session):
    """A session of a study that is only settled."""

    def __init__(self, study, journal, checkpoints):
        self.study, self.journal = study, journal
        self.runner = SimpleNamespace(checkpoints=checkpoints)


@pytest.fixture
def failed(session):
    """A study whose first trials have all failed in one way, after an epoch each."""
    for _ in range(SAME_ERRORS):
        trial = session.start()
        session.epoch(trial, 1, 0.5)
        session.fail(trial, "Traceback\nValueError: broken code")
    assert {r.status for r in session.journal.records} == {Status.FAILED}
    return session


def test_trials_that_run_again_do_not_go_on_from_what_failed(
    failed, tiny_study, tmp_path
):
    """A driver can die before it has deleted that."""
    folder = CheckpointFolder(str(tmp_path / "checkpoints"))
    for record in failed.journal.records:
        folder.write(checkpoint_name(record.name), b"state of the broken code")
    Beginning(tiny_study, failed.journal, folder)._settle()
    assert folder.names() == []
    assert len(failed.journal.open) == SAME_ERRORS


def test_a_checkpoint_that_stays_keeps_its_trial_from_running_again(
    failed, tiny_study, tmp_path, monkeypatch
):
    folder = CheckpointFolder(str(tmp_path / "checkpoints"))

    def refuse(_self, _name):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(CheckpointFolder, "delete", refuse)
    with pytest.raises(
        StudyError, match=r"\.pt must go before its trial runs again, but: Permission"
    ):
        Beginning(tiny_study, failed.journal, folder)._settle()
    assert {r.status for r in failed.journal.records} == {Status.FAILED}


def test_a_finished_study_is_shown_with_the_commits_that_ran_it(
    session, tiny_study, tmp_path
):
    """Another commit may show it."""
    session.journal.begin_session(commit="abc")
    written = SimpleNamespace(
        worked=True, metrics={}, tags={}, groups=(), note="", paths=[]
    )
    told = []

    def write(_study, _folder, _records, commits):
        told.extend(commits)
        return written

    one = Beginning(tiny_study, session.journal, None)
    one.folder, one.stopper, one.write = tmp_path, session.stopper, write
    one.allocation = SimpleNamespace(tags=dict)
    one.locations = SimpleNamespace(storage=str(tmp_path))
    one.tracker = SimpleNamespace(finish=lambda _summary: None)
    assert one._conclude(finished=True) is written
    assert told == ["unknown", "abc"]  # the first session has not said it
