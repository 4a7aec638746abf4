"""A trial's metrics by epoch."""

import copy
import json
import math
import pickle
import sys

import pytest

from orthotune.training.metrics import METRICS
from orthotune.tuning.history import History

EPOCHS = {
    1: {"val_error": 0.1, "lr": 1e-300},
    2: {"val_error": math.pi, "lr": -0.0},
    7: {"val_error": 1e30, "lr": 5e-324, "test_error": 0.0},
}


@pytest.fixture
def history():
    history = History()
    history.update(EPOCHS)
    return history


def test_a_history_holds_what_was_put_there_to_the_bit(history):
    assert json.dumps(dict(history)) == json.dumps(EPOCHS)
    assert list(history) == [1, 2, 7]
    assert history == EPOCHS
    assert EPOCHS == history
    assert repr(history) == repr(EPOCHS)


def test_an_epoch_that_was_not_reported_is_missing(history):
    assert 3 not in history
    assert history.get(3) is None
    with pytest.raises(KeyError):
        history[3]
    assert not History()


def test_an_epoch_can_be_replaced_and_removed(history):
    history[2] = {"val_error": 0.5}
    del history[1]
    assert history == {2: {"val_error": 0.5}, 7: EPOCHS[7]}


def test_changing_what_was_read_changes_no_history(history):
    history[1]["val_error"] = 0.9
    assert history == EPOCHS


def test_copies_are_equal_and_apart(history):
    for other in (copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert other == history
        del other[1]
        assert 1 in history


def test_a_history_takes_a_fraction_of_the_memory_of_dictionaries():
    def bytes_of(metrics):
        return sys.getsizeof(metrics) + sum(map(sys.getsizeof, metrics.values()))

    history = History()
    history[1] = {name: k + 0.5 for k, name in enumerate(METRICS)}
    names, values = history._epochs[1]
    held = sys.getsizeof(history._epochs[1]) + sys.getsizeof(values)
    assert held < bytes_of(history[1]) / 2
    history[2] = dict.fromkeys(METRICS, 1.0)
    assert history._epochs[2][0] is names
