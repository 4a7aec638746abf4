"""Signals that end a study, and those that nobody wanted to."""

import os
import signal

import pytest

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
