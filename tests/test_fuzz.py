"""Odd files are refused in a sentence; `make soak` reads 20,000 more of them."""

import pytest

from orthotune.errors import FileError
from tests import fuzz


def test_files_that_nobody_would_write_are_accepted_or_refused_in_a_sentence(tmp_path):
    kinds, refused = set(), 0
    for number in range(200):
        kind, content = fuzz.changed(1, number)
        kinds.add(kind)
        problem = fuzz.trouble(kind, content, tmp_path / "file.yaml")
        assert problem is None, f"{kind}\n{content[:2000].decode(errors='replace')}"
        try:
            fuzz.KINDS[kind](str(tmp_path / "file.yaml"))
        except ValueError:
            refused += 1
    assert kinds == set(fuzz.KINDS)
    assert 50 < refused < 200  # neither all is refused, nor nothing


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (FileError("FILE:1: `a` must be b, but is c."), None),
        (FileError("FILE:1: `a` must be b. Did you mean `c`?"), None),
        (OverflowError("cannot convert"), "OverflowError: cannot convert"),
        (MemoryError("no room"), "MemoryError: no room"),
        (FileError("FILE:1: " + "a" * 400 + "."), "a message of 409 characters"),
        (FileError("FILE:1: a\nb."), "a message of several lines"),
        (FileError("`a` must be b"), "no sentence that says where: `a` must be b"),
        (FileError("Must be b."), "no sentence that says where"),
    ],
)
def test_what_is_no_sentence_is_seen(error, problem, tmp_path, monkeypatch):
    path = tmp_path / "file.yaml"

    def read(_path):
        raise type(error)(str(error).replace("FILE", str(path)))

    monkeypatch.setitem(fuzz.KINDS, "search", read)
    found = fuzz.trouble("search", b"", path)
    assert found == problem or found.startswith(problem)


def test_what_takes_too_long_or_too_much_is_seen(monkeypatch):
    monkeypatch.setattr(fuzz, "MAX_SECONDS", 0.01)

    def read(_path):
        while True:
            pass

    for kind in fuzz.KINDS:
        monkeypatch.setitem(fuzz.KINDS, kind, read)
    before = fuzz.signal.signal(fuzz.signal.SIGPROF, fuzz._stop)
    try:
        _, problem, _ = fuzz._try(1, 1)
    finally:
        fuzz.signal.signal(fuzz.signal.SIGPROF, before)
    assert problem == "_TooSlow: more than 0.01 s of a core"
