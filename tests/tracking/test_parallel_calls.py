"""The same call for many items, several at once."""

import threading

import pytest

from orthotune.tracking.parallel_calls import call_in_parallel


@pytest.mark.parametrize("num_threads", [1, 2, 8])
def test_every_item_is_called_once(num_threads):
    seen = []
    call_in_parallel(seen.append, range(5), num_threads)
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_one_thread_is_the_callers_own_and_keeps_the_order():
    seen = []
    call_in_parallel(lambda n: seen.append((n, threading.get_ident())), range(3), 1)
    assert seen == [(n, threading.get_ident()) for n in range(3)]


def test_so_many_calls_are_under_way_at_once():
    together = threading.Barrier(3, timeout=30)
    call_in_parallel(lambda _: together.wait(), range(3), 3)


def test_after_an_error_no_call_begins():
    seen = []

    def call(item):
        seen.append(item)
        if item == 2:
            raise OSError("the third")

    with pytest.raises(OSError, match="the third"):
        call_in_parallel(call, range(5), 1)
    assert seen == [0, 1, 2]


def test_calls_under_way_at_an_error_are_waited_for():
    both, failing, ended = threading.Barrier(2, timeout=30), threading.Event(), []

    def call(item):
        both.wait()
        if item == 0:
            failing.set()
            raise OSError("the first")
        assert failing.wait(30)
        ended.append(item)

    with pytest.raises(OSError, match="the first"):
        call_in_parallel(call, range(2), 2)
    assert ended == [1]


def test_no_items_are_no_calls():
    call_in_parallel(pytest.fail, [], 4)
