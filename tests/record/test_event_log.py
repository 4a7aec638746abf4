import json
import os
import pickle
import zlib

import pytest

from orthotune.errors import StudyError, StudyStoppedError
from orthotune.record.event_log import LINE_BYTES, EventLog, read_events
from tests.full_disk import full_disk

EVENTS = [
    {"event": "study", "name": 'tab\tnewline\nquote" é \u2028', "time": 1},
    {"event": "suggested", "fields": {"model.widths": [4, 8], "seed": 2**60}},
    {"event": "epoch", "metrics": {"val_error": 0.1 + 0.2, "none": None}},
]


def write(path, events=EVENTS):
    log = EventLog(path)
    for event in events:
        log.append(event)
    log.close()


def held(path):
    """The events of a file."""
    return [event for _, event in read_events(path)]


def reopened(path):
    """The events of a file that can be written to."""
    return [event for _, event in EventLog(path).events()]


def test_a_file_that_does_not_exist_holds_no_events(path):
    assert held(path) == []
    assert not path.exists()


@pytest.mark.parametrize("durable", [True, False])
def test_events_come_back_as_they_were_in_their_order(path, durable):
    for event in EVENTS:  # each by a process of its own
        log = EventLog(path)
        log.append(event, durable=durable)
        log.close()
    assert reopened(path) == EVENTS
    assert held(path) == EVENTS


def test_a_log_knows_its_header(path):
    assert EventLog(path).header is None
    write(path)
    assert EventLog(path).header == EVENTS[0]


def test_every_event_is_read_back_from_its_place(path):
    log = EventLog(path)
    long = {"event": "long", "text": "é" * 3 * LINE_BYTES}
    places = [log.append(event) for event in (*EVENTS, long)]
    assert [place for place, _ in log.events()] == places
    for reader in (log, EventLog(path)):
        for place, event in zip(places, (*EVENTS, long), strict=True):
            assert reader.read(place) == event
    log.close()
    path.unlink()  # the system keeps it for those who have it open
    assert [log.read(place) for place in places] == [*EVENTS, long]


@pytest.mark.parametrize("place", [1, 10**6])
def test_a_place_that_holds_no_event_is_refused(path, place):
    write(path)
    message = rf"record\.jsonl: .* something has changed it \(at byte {place}\)"
    with pytest.raises(StudyError, match=message):
        EventLog(path).read(place)


def test_a_log_that_was_changed_is_not_believed(path):
    log = EventLog(path)
    place = log.append(EVENTS[0])
    path.write_bytes(path.read_bytes().replace(b'"time":1', b'"time":2'))
    with pytest.raises(StudyError, match="Put back a copy"):
        log.read(place)


def test_a_log_that_cannot_be_read_back_says_why(path, monkeypatch):
    log = EventLog(path)
    place = log.append(EVENTS[0])

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(StudyError, match="must be readable, but: Input/output error"):
        log.read(place)


def test_a_full_disk_can_be_read(path):
    log = EventLog(path)
    place = log.append(EVENTS[0])
    with full_disk(path), pytest.raises(StudyStoppedError):
        log.append(EVENTS[1])
    with full_disk(path):
        assert log.read(place) == EVENTS[0]


def test_a_line_is_readable_without_this_program(path):
    write(path)
    lines = path.read_bytes().splitlines()
    for line, event in zip(lines, EVENTS, strict=True):
        text, crc = line.split(b"\t")
        assert json.loads(text) == event
        assert int(crc, 16) == zlib.crc32(text)


def test_an_event_is_with_the_system_before_the_file_is_closed(path):
    log = EventLog(path)
    log.append(EVENTS[0])
    assert held(path) == EVENTS[:1]


def test_a_durable_event_is_on_disk(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    log = EventLog(path)
    log.append(EVENTS[0])
    assert synced == []
    log.append(EVENTS[1], durable=True)
    assert synced == [path.stat().st_size]


def test_a_line_cut_short_at_any_byte_is_dropped_and_the_file_goes_on(path):
    write(path)
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert held(path) == EVENTS[:2]
        log = EventLog(path)
        assert path.stat().st_size == start
        log.append({"event": "next"})
        log.close()
        assert reopened(path) == [*EVENTS[:2], {"event": "next"}]


def test_the_first_line_may_be_cut_short_too(path):
    write(path, EVENTS[:1])
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        write(path, EVENTS[1:])
        assert reopened(path) == EVENTS[1:]


def test_zeros_after_the_last_line_are_dropped(path):
    # What some file systems leave where a power cut met a write.
    write(path)
    with path.open("ab") as file:
        file.write(bytes(100))
    assert reopened(path) == EVENTS


def test_a_last_line_with_a_hole_is_dropped(path):
    # The blocks of one write need not reach a disk in their order.
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50] + bytes(20) + whole[-30:])
    assert reopened(path) == EVENTS[:2]


def test_a_change_of_any_byte_before_the_last_line_is_refused(path):
    write(path)
    whole = path.read_bytes()
    for at in range(whole.rindex(b"\n", 0, -1)):  # its end would join it to the last
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        line = whole.count(b"\n", 0, at) + 1
        message = rf"record\.jsonl:{line}: the study's record must be as it was written"
        with pytest.raises(StudyError, match=message):
            EventLog(path)
        assert path.read_bytes() == damaged  # and nobody has touched it


@pytest.mark.parametrize("line", [b"", b"\t00000000", b"00000000", b"{}", b"\xff\x00"])
def test_a_line_that_is_no_event_is_refused_with_its_place(path, line):
    write(path)
    first, *rest = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, line, *rest, b""]))
    with pytest.raises(StudyError, match=r"record\.jsonl:2: .* damaged\. Put back"):
        held(path)


def test_a_file_that_cannot_be_read_is_named(path):
    path.mkdir()
    with pytest.raises(
        StudyError, match=r"record\.jsonl must be readable, but: Is a dir"
    ):
        EventLog(path)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "gone" / "record.jsonl"
    with pytest.raises(
        StudyError, match=r"record\.jsonl must be writable, but: No such"
    ):
        EventLog(path)


def test_a_full_disk_leaves_the_file_as_it_was_whatever_fits(path):
    write(path, EVENTS[:2])
    before = path.read_bytes()
    size = len(before)
    write(path, EVENTS[2:])
    line = path.stat().st_size - size
    for room in range(line):
        path.write_bytes(before)
        log = EventLog(path)
        with (
            full_disk(path, room),
            pytest.raises(StudyStoppedError, match="be writable, but: File too large"),
        ):
            log.append(EVENTS[2], durable=True)
        log.close()
        assert path.read_bytes() == before
        write(path, EVENTS[2:])
        assert reopened(path) == EVENTS


def test_after_a_failed_write_nothing_more_is_written(path):
    # What would still fit, an end without its last epoch, would be a wrong record.
    log = EventLog(path)
    log.append({"event": "short"})
    with full_disk(path, 40), pytest.raises(StudyStoppedError):
        log.append({"event": "long", "text": "x" * 100})
    with pytest.raises(StudyStoppedError, match="continues once there is room"):
        log.append({"event": "short"})
    assert reopened(path) == [{"event": "short"}]


def test_a_failing_disk_leaves_the_file_as_it_was(path, monkeypatch):
    log = EventLog(path)
    log.append(EVENTS[0])
    before = path.read_bytes()

    def broken(_fd):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StudyStoppedError, match="but: Input/output error"):
        log.append(EVENTS[1], durable=True)
    assert path.read_bytes() == before


def test_a_system_that_writes_a_byte_at_a_time_writes_whole_lines(path):
    log = EventLog(path)
    file = log._file

    class Slow:
        def write(self, content):
            return file.write(content[:1])

        def close(self):
            file.close()

    log._file = Slow()
    for event in EVENTS:
        log.append(event)
    log.close()
    assert reopened(path) == EVENTS


def test_a_pickled_log_has_no_file(path):
    log = EventLog(path)
    log.append(EVENTS[0])
    copy = pickle.loads(pickle.dumps(log))
    with pytest.raises(RuntimeError, match="must be open"):
        copy.append(EVENTS[1])
    with pytest.raises(RuntimeError, match="must be open"):
        copy.read(0)
    log.append(EVENTS[1])  # and the log itself goes on
    assert reopened(path) == EVENTS[:2]


def test_a_closed_log_refuses_and_can_be_closed_again(path):
    log = EventLog(path)
    log.close()
    log.close()
    with pytest.raises(RuntimeError, match="must be open"):
        log.append(EVENTS[0])
