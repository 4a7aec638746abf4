import pytest

from orthotune.record.trial_record import Status
from tests.tracking.sessions import Session, assert_mirrors, runs

pytestmark = pytest.mark.usefixtures("quick")


def test_the_latest_best_is_the_best_whichever_trial_began_last(uri, tmp_path):
    session = Session(tmp_path, uri, "overtaken").start()
    first, second = (session.play([0.5, 0.5], Status.RUNNING) for _ in range(2))
    session.report(second, 0.5)
    session.journal.end(second, Status.FINISHED)
    session.report(first, 0.25)
    session.journal.end(first, Status.FINISHED)
    session.finish()
    assert runs(uri, "overtaken")["overtaken"].data.metrics["best_val_error"] == 0.25
    assert_mirrors(uri, "overtaken", session.journal)
