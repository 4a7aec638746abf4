import io
import sys

import pytest

from orthotune.training import progress
from orthotune.training.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock the test moves: `clock[0] += seconds`."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_on_a_terminal_one_line_is_rewritten():
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.show("epoch 1/10")
    line.show("epoch 2/10", final=True)
    line.close()
    assert terminal.getvalue() == "\repoch 1/10\repoch 2/10\n"


def test_on_a_terminal_a_shorter_text_covers_a_longer_one():
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.show("a long text", final=True)
    line.show("short", final=True)
    line.show("shorter", final=True)
    assert terminal.getvalue() == "\ra long text\rshort      \rshorter"


def test_a_terminal_is_rewritten_ten_times_a_second(clock):
    terminal = Terminal()
    line = ProgressLine(terminal)
    for step in range(25):
        assert line.due() == (step % 2 == 0)
        line.show(str(step))
        clock[0] += 0.0625
    assert terminal.getvalue().split("\r")[1:] == [str(n) for n in range(0, 25, 2)]


def test_elsewhere_a_line_is_printed_now_and_then(clock):
    stream = io.StringIO()
    line = ProgressLine(stream, every_s=10)
    for epoch in range(25):
        line.show(f"epoch {epoch}")
        clock[0] += 1
    line.close()
    assert stream.getvalue() == "epoch 0\nepoch 10\nepoch 20\n"


def test_elsewhere_the_final_line_is_always_printed(clock):
    stream = io.StringIO()
    line = ProgressLine(stream)
    line.show("first")
    line.show("second")
    line.show("last", final=True)
    line.close()
    assert stream.getvalue() == "first\nlast\n"


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_closing_an_unused_line_writes_nothing(stream):
    line = ProgressLine(stream)
    line.close()
    assert stream.getvalue() == ""


def test_a_closed_line_may_be_closed_again_and_shown_again():
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.show("one")
    line.close()
    line.close()
    line.show("two", final=True)
    assert terminal.getvalue() == "\rone\n\rtwo"


def test_progress_goes_to_standard_error_by_default(capsys):
    ProgressLine().show("epoch 1/2")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "epoch 1/2\n"


def test_standard_error_is_looked_up_when_the_line_is_made(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    ProgressLine().show("text")
    assert stream.getvalue() == "text\n"
