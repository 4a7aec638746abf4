"""The copy of a record: what it holds, who may write it, where a driver goes on."""

import threading

import pytest

from orthotune.errors import StudyError, StudyStoppedError
from orthotune.record import mirror
from orthotune.record.event_log import EventLog
from orthotune.record.mirror import RecordMirror
from orthotune.storage import lease
from orthotune.storage.folder import StorageFolder
from orthotune.storage.lease import Lease

WATCHED_S = 60.0
"""In which a holder renews its lease, however busy the machine is."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(mirror, "COPY_S", 0.02)
    monkeypatch.setattr(mirror, "RENEW_S", 0.0)
    monkeypatch.setattr(mirror, "PART_BYTES", 300)
    monkeypatch.setattr(lease, "SILENT_S", 0.4)
    monkeypatch.setattr(lease, "SETTLE_S", 0.05)


@pytest.fixture
def storage(tmp_path):
    return (tmp_path / "storage").as_uri()


def node(tmp_path, name, storage):
    """A log of this node's own, and its mirror."""
    path = tmp_path / name / "record.jsonl"
    path.parent.mkdir(exist_ok=True)
    return EventLog(path), RecordMirror(path, storage)


def replaced(tmp_path, storage):
    """A driver that falls silent after an event, and the one that takes its place."""
    log, copy = node(tmp_path, "a", storage)
    copy.acquire()
    write(log, [0])
    copy.settle()
    other = RecordMirror(tmp_path / "b" / "record.jsonl", storage)
    other.acquire()
    return log, copy, other


def write(log, numbers):
    for number in numbers:
        log.append({"event": "epoch", "number": number})


def test_the_copy_is_the_file_at_any_time(tmp_path, storage):
    log, copy = node(tmp_path, "a", storage)
    for count in range(1, 40):
        write(log, range(count % 4))
        copy.settle()
        assert copy.content() == log.path.read_bytes()
    parts = sorted((tmp_path / "storage" / "record").iterdir())
    assert len(parts) > 3
    assert all(300 <= part.stat().st_size < 600 for part in parts[:-1])
    assert copy.header() == {"event": "epoch", "number": 0}


def test_half_a_line_is_not_copied(tmp_path, storage):
    log, copy = node(tmp_path, "a", storage)
    write(log, [0])
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'{"event":')
    copy.settle()
    assert copy.content() == whole


def test_another_node_goes_on_where_the_copy_ends(tmp_path, storage):
    for count in range(0, 30, 7):
        there = f"{storage}/{count}"
        log, copy = node(tmp_path, f"a{count}", there)
        write(log, range(count))
        copy.settle()
        write(log, [99])  # dies before this is copied
        other, its = node(tmp_path, f"b{count}", there)
        its.restore()
        other = EventLog(other.path)
        write(other, range(count, 60))
        its.settle()
        numbers = [event["number"] for _, event in EventLog(other.path).events()]
        assert numbers == list(range(60))
        assert its.content() == other.path.read_bytes()


def test_the_same_node_goes_on_with_what_was_not_copied(tmp_path, storage):
    log, copy = node(tmp_path, "a", storage)
    write(log, range(5))
    copy.settle()
    write(log, range(5, 9))
    again = RecordMirror(log.path, storage)
    again.restore()
    again.settle()
    assert again.content() == log.path.read_bytes()
    assert len(list(log.events())) == 9


def test_a_node_that_comes_back_takes_what_another_has_done(tmp_path, storage):
    log, copy = node(tmp_path, "a", storage)
    write(log, range(5))
    copy.settle()
    write(log, [77, 78])
    other, its = node(tmp_path, "b", storage)
    its.restore()
    other = EventLog(other.path)
    write(other, range(5, 8))
    its.settle()
    lost = log.path.read_bytes()
    copy.restore()
    assert log.path.read_bytes() == other.path.read_bytes()
    (aside,) = log.path.parent.glob("record.jsonl.not-copied-*")
    assert aside.read_bytes() == lost


def test_parts_behind_the_end_are_forgotten(tmp_path, storage):
    log, copy = node(tmp_path, "a", storage)
    write(log, range(30))
    copy.settle()
    StorageFolder(f"{storage}/record").write(f"{10**6:015d}.jsonl", b"of another\n")
    again = RecordMirror(log.path, storage)
    again.restore()
    assert again.content() == log.path.read_bytes()
    names = [path.name for path in (tmp_path / "storage" / "record").iterdir()]
    assert f"{10**6:015d}.jsonl" not in names


def test_what_deletes_waits_for_the_copy(tmp_path, storage, monkeypatch):
    log, copy = node(tmp_path, "a", storage)
    write(log, [0])
    done = []
    copy.later(lambda: done.append("first"))
    failures = []

    def fail(*_args):
        failures.append(1)
        _fail()

    with monkeypatch.context() as patch:
        patch.setattr(StorageFolder, "write", fail)
        with pytest.raises(OSError, match="must be in --storage first: no such bucket"):
            copy.settle()
    assert done == []
    write(log, [1])
    copy.later(lambda: done.append("second"))
    copy.settle()
    assert done == ["first", "second"]
    copy.settle()
    assert done == ["first", "second"]


def _fail(*_args):
    raise OSError("no such bucket")


def test_a_storage_that_fails_for_a_while_costs_one_warning(
    tmp_path, storage, monkeypatch, capsys
):
    log, copy = node(tmp_path, "a", storage)
    copy.acquire()
    lost = []
    failures = []

    def fail(*_args):
        failures.append(1)
        _fail()

    with monkeypatch.context() as patch:
        patch.setattr(StorageFolder, "write", fail)
        copy.start(lost.append)
        write(log, range(3))
        while len(failures) < 3:
            threading.Event().wait(0.01)
    write(log, range(3))
    copy.close()
    assert copy.content() == log.path.read_bytes()
    assert capsys.readouterr().err.count("orthotune: warning: --storage file://") == 1
    assert lost == []


def test_a_driver_that_lives_is_not_replaced(tmp_path, storage, monkeypatch):
    monkeypatch.setattr(lease, "SILENT_S", WATCHED_S)
    log, copy = node(tmp_path, "a", storage)
    copy.acquire()
    copy.start(lambda _err: None)
    with pytest.raises(StudyError, match="Only one process may run a study, but proc"):
        RecordMirror(tmp_path / "b", storage).acquire()
    copy.close()
    RecordMirror(tmp_path / "b", storage).acquire()  # given back, so at once
    assert log.header is None


def test_a_driver_that_is_silent_is_replaced_and_stops_when_it_comes_back(
    tmp_path, storage, capsys, monkeypatch
):
    log, copy, other = replaced(tmp_path, storage)
    assert "looking for up to" in capsys.readouterr().err
    told = threading.Event()
    errors = []
    copy.start(lambda err: (errors.append(err), told.set()))
    assert told.wait(120)
    assert isinstance(errors[0], StudyStoppedError)
    write(log, [1])
    with pytest.raises(OSError, match="has taken over"):
        copy.settle()
    copy.close()
    assert b'"number":1' not in other.content()
    monkeypatch.setattr(lease, "SILENT_S", WATCHED_S)
    with pytest.raises(StudyError):  # closing has not given back what is another's
        _take_while_it_beats(other, storage)


def _take_while_it_beats(holder, storage):
    """Somebody asks for the lease while its holder renews it."""
    stop = threading.Event()

    def renew():
        while not stop.wait(0.02):
            holder._lease.renew()

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        Lease(StorageFolder(storage)).acquire()
    finally:
        stop.set()
        thread.join()


def test_a_storage_that_cannot_be_reached_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    copy = RecordMirror(tmp_path / "record.jsonl", f"file://{tmp_path}/file")
    with pytest.raises(StudyError, match="--storage must be readable and writable"):
        copy.acquire()


def test_what_a_dead_writer_left_is_forgotten_and_no_part(tmp_path, storage):
    log, copy = node(tmp_path, "a", storage)
    write(log, range(3))
    copy.settle()
    record = tmp_path / "storage" / "record"
    left = record / f".{0:015d}.jsonl.4711.partial"  # sorts before every part
    left.write_bytes(b"half")
    again = RecordMirror(log.path, storage)
    again.restore()
    assert again.content() == log.path.read_bytes()
    assert not left.exists()


def test_who_was_replaced_stops_also_when_the_other_has_finished(tmp_path, storage):
    log, copy, other = replaced(tmp_path, storage)
    other.restore()
    write(EventLog(tmp_path / "b" / "record.jsonl"), range(1, 30))
    other.close()  # and no lease is there any more
    whole = other.content()
    errors = []
    told = threading.Event()
    write(log, [77])
    copy.start(lambda err: (errors.append(err), told.set()))
    assert told.wait(120)
    assert "another process has taken over" in str(errors[0])
    copy.close()
    copy.discard()
    assert other.content() == whole


def test_nothing_is_written_late_by_who_was_replaced(tmp_path, storage):
    """As by a call that was held up while another driver went on."""
    log, copy, other = replaced(tmp_path, storage)
    other.restore()
    write(log, [77])
    with pytest.raises(OSError, match="must be in --storage first"):
        copy.settle()
    copy.discard()
    assert b'"number":77' not in other.content()
    assert b'"number":0' in other.content()


def test_looking_and_beginning_in_vain_leave_nothing(tmp_path, storage):
    log, copy = node(tmp_path, "a", f"{storage}/study")
    copy.probe()
    assert list((tmp_path / "storage").iterdir()) == []
    copy.acquire()
    write(log, [0])
    copy.begin()
    copy.start(lambda _err: None)
    copy.discard()
    assert list((tmp_path / "storage").iterdir()) == []


@pytest.mark.parametrize("failing", ["write", "delete"])
def test_a_storage_that_cannot_be_written_is_refused(
    tmp_path, storage, monkeypatch, failing
):
    _, copy = node(tmp_path, "a", storage)

    def fail(_folder, _name, *_content):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(StorageFolder, failing, fail)
    with pytest.raises(StudyError, match=r"--storage must be.*Permission denied"):
        copy.probe()
