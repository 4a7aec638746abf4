import pickle

import pytest
from ray.tune.search import Searcher

from orthotune.errors import StudyError
from orthotune.record.trial_record import TrialRecord
from orthotune.tune.assignment import STUDY
from orthotune.tune.record_searcher import RecordSearcher
from orthotune.tune.stopper import StudyStopper

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental.*")


def test_ray_finds_metric_and_mode_set_and_can_write_it_to_disk(session, tmp_path):
    searcher = session.searcher
    assert (searcher.metric, searcher.mode) == ("val_error", "min")
    assert searcher.set_search_properties(None, None, {})
    assert searcher.set_search_properties("val_error", "min", {})
    assert not searcher.set_search_properties("val_loss", "min", {})
    assert not searcher.set_search_properties("val_error", "max", {})
    assert not searcher.set_search_properties(None, None, {"optimizer.lr": 1})
    assert vars(pickle.loads(pickle.dumps(searcher))) == {}
    searcher.save_to_dir(str(tmp_path), "session")


def test_it_is_not_restored_from_what_ray_writes(session, tmp_path):
    session.searcher.save(str(tmp_path / "state"))
    with pytest.raises(StudyError, match="Type the same command again"):
        session.searcher.restore(str(tmp_path / "state"))


def test_nothing_is_suggested_while_there_is_no_room(session):
    session.limit = 2
    first, second = session.start(), session.start()
    assert session.suggestion() is None
    assert len(session.journal) == 2  # nothing was drawn for it
    session.epoch(first, 1, 0.5)
    assert session.suggestion() is None
    session.epoch(first, 3, 0.5)  # its last
    third = session.suggestion()
    assert third[STUDY]["name"].startswith("trial-0002")
    assert session.suggestion() is None
    assert second.number == 1


def test_a_list_is_suggested_in_its_order_as_there_is_room(tmp_path):
    records = [TrialRecord(number=n, fields={}) for n in (7, 3, 5)]
    limit = [1]
    searcher = RecordSearcher(
        records,
        "val_error",
        assign=lambda record: {"number": record.number},
        limit=lambda: limit[0],
        stopper=StudyStopper(),
    )
    assert searcher.suggest("a") == {STUDY: {"number": 7}}
    assert searcher.suggest("b") is None
    searcher.on_trial_complete("a", {}, error=True)
    assert searcher.suggest("b") == {STUDY: {"number": 3}}
    limit[0] = 3  # nodes have joined
    assert searcher.suggest("c") == {STUDY: {"number": 5}}
    assert searcher.suggest("d") == Searcher.FINISHED
    assert [record.number for record in records] == [7, 3, 5]
