"""A trial's metrics by epoch."""

import copy
import json
import math
import threading

import pytest

from orthotune.errors import StudyError
from orthotune.record.event_log import EventLog
from orthotune.record.history import PROFILES, History, Profiles, Times
from tests.full_disk import full_disk

EPOCHS = {
    1: {"val_error": 0.1, "lr": 1e-300},
    2: {"val_error": math.pi, "lr": -0.0},
    7: {"val_error": 1e30, "lr": 5e-324, "test_error": 0.0},
}
TIMES = {epoch: 1_700_000_000_000 + epoch for epoch in EPOCHS}


@pytest.fixture
def log(path):
    return EventLog(path)


def report(history, log, epoch, metrics, **more):
    """An epoch goes the way that a journal sends it."""
    event = {"epoch": epoch, "metrics": metrics, "time": 1_700_000_000_000 + epoch}
    history.add(event | more, log.append(event | more))


@pytest.fixture
def history(log):
    history = History(log)
    for epoch, metrics in EPOCHS.items():
        report(history, log, epoch, metrics)
    return history


def test_a_history_holds_what_was_reported_to_the_bit(history):
    assert json.dumps(dict(history)) == json.dumps(EPOCHS)
    assert list(history) == [1, 2, 7]
    assert len(history) == 3
    assert history == EPOCHS
    assert EPOCHS == history
    assert repr(history) == repr(EPOCHS)
    assert [history[epoch] for epoch in EPOCHS] == list(EPOCHS.values())


def test_it_says_when(history):
    times = Times(history)
    assert times == TIMES
    assert repr(times) == repr(TIMES)
    assert times[2] == TIMES[2]
    assert max(times.values()) == TIMES[7]


def test_profiles_are_read_back_from_the_epoch_that_came_with_them(log):
    history = History(log)
    profiles = Profiles(history)
    assert (profiles, len(profiles), list(profiles)) == ({}, 0, [])
    with pytest.raises(KeyError, match="1"):
        profiles[1]
    before, amid, last = ({"gram_deviation": [k / 3, math.pi]} for k in range(3))
    report(history, log, 1, EPOCHS[1], **{PROFILES: {"0": before, "1": amid}})
    report(history, log, 2, EPOCHS[2])
    assert profiles == {0: before, 1: amid}
    report(history, log, 3, EPOCHS[2], **{PROFILES: {"3": last}})
    assert profiles == {0: before, 1: amid, 3: last}
    assert repr(profiles) == repr({0: before, 1: amid, 3: last})
    assert history[1] == EPOCHS[1]
    with pytest.raises(KeyError, match="2"):
        profiles[2]


def test_an_epoch_that_was_not_reported_is_missing(history, log):
    assert 3 not in history
    assert "val_error" not in history
    assert history.get(3) is None
    with pytest.raises(KeyError, match="3"):
        history[3]
    with pytest.raises(KeyError, match="3"):
        Times(history)[3]
    assert not History(log)
    with pytest.raises(KeyError, match="1"):
        History(log)[1]


def test_epochs_need_not_come_in_order(history, log):
    report(history, log, 4, {"val_error": 0.25})
    assert list(history) == [1, 2, 7, 4]
    assert history == EPOCHS | {4: {"val_error": 0.25}}


def test_values_that_are_no_numbers_come_back(log):
    history = History(log)
    report(history, log, 1, {"train_loss": math.nan, "val_loss": math.inf})
    report(history, log, 2, {"train_loss": -math.inf})
    assert math.isnan(history[1]["train_loss"])
    assert history[1]["val_loss"] == math.inf
    assert history[2] == {"train_loss": -math.inf}


def test_changing_what_was_read_changes_no_history(history):
    for epoch in EPOCHS:
        history[epoch]["val_error"] = 0.9
    assert history == EPOCHS


def test_it_can_be_read_when_the_log_is_closed_or_the_disk_is_full(history, log, path):
    with full_disk(path):
        assert history == EPOCHS
    log.close()
    assert history == EPOCHS


def test_a_log_that_was_changed_is_refused_and_not_guessed_at(history, path):
    path.write_bytes(path.read_bytes().replace(b"1e-300", b"2e-300"))
    with pytest.raises(StudyError, match="must be as it was written"):
        history[1]
    assert history[7] == EPOCHS[7]


def test_other_threads_read_whole_epochs_while_one_adds_more(log):
    history, done = History(log), threading.Event()
    times, wrong = Times(history), []

    def read():
        while not done.is_set():
            for epoch in set(history):
                if history[epoch] != expected(epoch) or times[epoch] % 1000 != epoch:
                    wrong.append(epoch)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for epoch in range(1, 300):
        report(history, log, epoch, expected(epoch))
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert history == {epoch: expected(epoch) for epoch in range(1, 300)}


def expected(epoch):
    return {"val_error": 1 / epoch, "lr": epoch + 0.5}


def test_names_that_come_together_are_kept_once(log):
    first, second = History(log), History(log)
    report(first, log, 1, EPOCHS[1])
    report(second, log, 1, copy.deepcopy(EPOCHS[2]))
    assert first._last[1] is second._last[1]
