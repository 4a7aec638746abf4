import os
import shutil

import pytest

from orthotune.record.checkpoints import (
    CheckpointFolder,
    CheckpointKeeper,
    checkpoint_name,
)
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status, TrialRecord
from tests.full_disk import full_disk
from tests.made_records import metrics


@pytest.fixture(params=["{}/checkpoints", "file://{}/checkpoints"])
def folder(request, tmp_path):
    """The same folder, named in two ways."""
    return CheckpointFolder(request.param.format(tmp_path))


def test_a_checkpoint_comes_back_as_it_was_written_last(folder, tmp_path):
    assert folder.names() == []
    folder.write("a.pt", b"first, and longer")
    folder.write("a.pt", b"second")
    folder.write("b.pt", bytes(range(256)) * 1000)
    assert folder.read("a.pt") == b"second"
    assert folder.read("b.pt") == bytes(range(256)) * 1000
    assert folder.names() == ["a.pt", "b.pt"]
    assert (tmp_path / "checkpoints" / "a.pt").read_bytes() == b"second"


def test_what_is_not_there_is_none_and_can_be_deleted(folder):
    assert folder.read("a.pt") is None
    folder.delete("a.pt")
    folder.write("a.pt", b"x")
    folder.delete("a.pt")
    folder.delete("a.pt")
    assert folder.read("a.pt") is None
    assert folder.names() == []


def test_a_write_that_dies_leaves_what_was_there(folder, monkeypatch):
    folder.write("a.pt", b"before")

    def killed(_fd):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.write("a.pt", b"after")
    assert folder.read("a.pt") == b"before"


def test_a_full_disk_is_an_os_error_and_leaves_what_was_there(folder, tmp_path):
    folder.write("a.pt", b"before")
    with (
        full_disk(tmp_path / "checkpoints" / "a.pt"),
        pytest.raises(OSError, match="File too large"),
    ):
        folder.write("a.pt", b"x" * 100_000)
    assert folder.read("a.pt") == b"before"


def test_a_folder_that_cannot_be_there_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    folder = CheckpointFolder(str(tmp_path / "file"))
    for call in (lambda: folder.read("a.pt"), lambda: folder.write("a.pt", b"x")):
        with pytest.raises(OSError, match="file"):
            call()


def test_the_name_holds_number_and_key_so_that_nothing_is_taken_for_another():
    def name(number, key):
        record = TrialRecord(number=number, key=key, fields={})
        return checkpoint_name(record.name)

    assert name(12345, "ab") == "trial-12345-ab.pt"
    assert name(1, "ab") != name(1, "ac")


class Kept:
    """A study whose trials write a checkpoint an epoch."""

    def __init__(self, tmp_path, keep, *, of_groups=False):
        self.folder = CheckpointFolder(str(tmp_path / "checkpoints"))
        self.journal = Journal(EventLog(tmp_path / "record.jsonl"), 3)
        self.keeper = CheckpointKeeper(
            self.folder, self.journal, "val_error", keep, of_groups=of_groups
        )
        self.journal.observers = [self.keeper]

    def begin(self, *errors, group=None):
        number = self.journal.suggest("key", {}, group=group).number
        self.journal.start(number)
        for epoch, error in enumerate(errors, 1):
            self.folder.write(f"trial-{number:04d}-key.pt", b"state")
            self.journal.report(number, epoch, metrics(error))
        return number

    def end(self, *errors, status=Status.FINISHED, group=None):
        self.journal.end(self.begin(*errors, group=group), status)

    @property
    def numbers(self):
        return [int(name.split("-")[1]) for name in self.folder.names()]


def test_the_checkpoints_of_the_best_stay(tmp_path):
    study = Kept(tmp_path, keep=2)
    for last in (0.5, 0.7, 0.3, 0.6, 0.4):
        study.end(0.9, 0.9, last)
    assert study.numbers == [2, 4]


def test_the_checkpoint_of_the_best_of_each_group_stays(tmp_path):
    study = Kept(tmp_path, keep=0, of_groups=True)
    study.end(0.9, 0.9, 0.9, group="a", status=Status.DIVERGED)
    assert study.numbers == []
    for last, group in ((0.5, "a"), (0.7, "b"), (0.3, "a"), (0.8, "b"), (0.4, "a")):
        study.end(0.9, 0.9, last, group=group)
    assert study.numbers == [2, 3]


def test_a_confirmation_deletes_no_checkpoint_but_its_own(tmp_path):
    study = Kept(tmp_path, keep=3)
    for last in (0.5, 0.7, 0.3):
        study.end(0.9, 0.9, last)
    args = study.folder, study.journal, "val_error"
    keeper = CheckpointKeeper(*args, keep=1, of_all=True)  # the file had kept more
    study.journal.observers = [keeper]
    number = study.journal.suggest("key", {}, validates=2).number
    study.folder.write(f"trial-{number:04d}-key.pt", b"state")
    study.journal.start(number)
    study.journal.end(number, Status.FINISHED)
    study.folder.write("other.pt", b"left")
    keeper.sweep()
    assert study.numbers == [0, 1, 2]


def test_none_stays_where_none_shall(tmp_path):
    study = Kept(tmp_path, keep=0)
    study.end(0.9, 0.9, 0.5)
    assert study.numbers == []


def test_an_early_stop_or_a_failure_leaves_no_checkpoint(tmp_path):
    study = Kept(tmp_path, keep=5)
    study.end(0.9, 0.9, 0.5)
    study.end(0.1, status=Status.STOPPED)
    study.end(0.1, 0.1, 0.1, status=Status.DIVERGED)
    study.end(0.1, 0.1, 0.1, status=Status.FAILED)
    study.end(0.1, 0.1, 0.1, status=Status.OOM)
    assert study.numbers == [0]


def test_a_longer_trial_drives_out_the_shorter_ones(tmp_path):
    study = Kept(tmp_path, keep=2)
    study.end(0.1, status=Status.STOPPED)
    assert study.numbers == [0]  # nothing better is known yet
    study.end(0.9, 0.9, 0.9)
    assert study.numbers == [1]


def test_what_runs_or_is_interrupted_keeps_its_checkpoint(tmp_path):
    study = Kept(tmp_path, keep=1)
    study.begin(0.9)
    for last in (0.5, 0.4):
        study.end(0.9, 0.9, last)
    study.journal.suspend()
    study.keeper.sweep()
    assert study.numbers == [0, 2]


def test_what_a_dead_session_left_is_swept_up(tmp_path):
    study = Kept(tmp_path, keep=1)
    for last in (0.5, 0.4):
        study.end(0.9, 0.9, last)
    open_trial = study.begin(0.9)
    for name in ("trial-0000-key.pt", ".trial-0002-key.pt.partial", "other.pt"):
        study.folder.write(name, b"left")
    again = Kept(tmp_path, keep=1)
    again.keeper.sweep()
    assert again.folder.names() == [
        "trial-0001-key.pt",
        f"trial-{open_trial:04d}-key.pt",
    ]
    again.end(0.9, 0.9, 0.3)  # and what it found is known to it
    assert again.numbers == [2, 3]


def test_a_folder_that_cannot_be_used_ends_no_study(tmp_path):
    study = Kept(tmp_path, keep=1)
    study.end(0.9, 0.9, 0.5)
    shutil.rmtree(study.folder.uri)
    (tmp_path / "checkpoints").write_text("no folder")
    study.journal.end(study.journal.suggest("key", {}).number, Status.FAILED)
    study.keeper.sweep()
    assert study.journal[1].status == Status.FAILED


def test_a_trial_of_an_audit_keeps_its_checkpoint_until_it_has_ended(path, tmp_path):
    folder = CheckpointFolder(str(tmp_path / "checkpoints"))
    journal = Journal(EventLog(path), 3)
    record = journal.suggest("key", {})
    journal.start(0)
    keeper = CheckpointKeeper(folder, journal, "val_error", keep=3)
    journal.observers = [keeper]
    folder.write(checkpoint_name(record.name), b"state")
    journal.report(0, 1, metrics(0.5))
    journal.condemn(0)
    for epoch in (2, 3):
        journal.report(0, epoch, metrics(0.0))
    keeper.sweep()
    assert folder.names() == [checkpoint_name(record.name)]
    journal.end(0, Status.STOPPED)
    assert folder.names() == []
