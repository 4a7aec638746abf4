"""Signals that end a study, and those that nobody wanted to."""

import contextlib
import os
import signal
import sys

import pytest

from orthotune.errors import InterruptedStartError
from orthotune.tune.stopper import SIGNALS, StudyStopper


@pytest.fixture(autouse=True)
def as_in_a_terminal():
    """Whoever runs the tests may ignore some."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_ends_the_study_and_the_second_the_command(number, capsys):
    stopper = StudyStopper()
    with stopper.installed():
        assert not stopper.stop_all()
        os.kill(os.getpid(), number)
        assert stopper.interrupted
        assert stopper.stop_all()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert "once more to stop at once" in capsys.readouterr().err


@pytest.mark.parametrize("number", SIGNALS)
def test_what_was_ignored_stays_so_whatever_ray_does(number):
    signal.signal(number, signal.SIG_IGN)
    stopper = StudyStopper()
    signal.signal(number, signal.SIG_DFL)  # Ray's own handlers
    with stopper.installed():
        os.kill(os.getpid(), number)
        assert not stopper.stop_all()
    assert signal.getsignal(number) == signal.SIG_IGN


def test_handlers_are_put_back():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with StudyStopper().installed():
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (False, "the study has not begun, and the same command begins it."),
        (True, "what is done is kept, and the same command continues it."),
    ],
)
def test_a_signal_ends_a_start_at_once_and_a_second_does_not_disturb_that(
    number, begun, said, capsys
):
    stopper = StudyStopper()
    with stopper.installed():
        with pytest.raises(InterruptedStartError), stopper.starting(begun=begun):
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # while the rest is closed
    assert capsys.readouterr().err == f"orthotune: stopped; {said}\n"
    assert stopper.interrupted


def test_a_signal_that_came_before_the_start_or_was_lost_in_it_ends_it():
    stopper = StudyStopper()
    with stopper.installed():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(InterruptedStartError), stopper.starting(begun=False):
            pytest.fail("nothing starts any more")
    stopper = StudyStopper()
    with (
        stopper.installed(),
        pytest.raises(InterruptedStartError),
        stopper.starting(begun=False),
        contextlib.suppress(InterruptedStartError),  # as a callback in C does
    ):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_a_destructor_loses_ends_the_start_without_a_traceback(
    monkeypatch,
):
    class Dying:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    class Broken:
        def __del__(self):
            raise ValueError("of somebody else")

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    stopper = StudyStopper()
    with (
        stopper.installed(),
        pytest.raises(InterruptedStartError),
        stopper.starting(begun=False),
    ):
        [Dying(), Broken()].clear()
    assert told == [ValueError]


def test_after_the_start_a_signal_ends_the_study_in_order():
    stopper = StudyStopper()
    with stopper.installed():
        with stopper.starting(begun=False):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopper.stop_all()
