"""TensorBoard's files, read back by TensorBoard itself."""

import os
import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from orthotune.config.metrics import METRICS
from orthotune.errors import StudyError
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.tracking import tensorboard as module
from orthotune.tracking.tensorboard import EVENTS, TensorBoard, check_tensorboard
from tests.crashes import Workplace, kill_driver


class Session:
    """One session of a study: its journal, as it was left, and TensorBoard's files."""

    def __init__(self, folder, *, observed=True):
        self.journal = Journal(EventLog(folder / "record.jsonl"), 3)
        self.board = TensorBoard(
            folder / "board", name="tiny", study_id="1234", metric="val_error"
        )
        if observed:
            self.board.start(self.journal.records)
            self.journal.observers = [self.board]
        self.journal.begin_session()

    def suggest(self):
        number = len(self.journal.records)
        fields = {"optimizer.lr": 0.01 * (number + 1), "model.widths": [4, 8, 8]}
        self.journal.suggest(f"key{number}", fields)
        self.journal.start(number)
        return number

    def report(self, number, error):
        epoch = self.journal[number].epoch + 1
        metrics = {name: k + epoch / 16 for k, name in enumerate(METRICS)}
        self.journal.report(number, epoch, metrics | {"val_error": error})

    def play(self, errors, status=Status.FINISHED):
        number = self.suggest()
        for error in errors:
            self.report(number, error)
        self.journal.end(number, status)
        return number

    def die(self):
        """As if killed: nothing is closed."""
        self.journal._log.close()

    def finish(self):
        self.journal.suspend()
        self.board.close()
        self.journal._log.close()

    @property
    def shown(self):
        """Every trial's errors by step, as TensorBoard shows them."""
        folder = self.board.folder
        runs = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        return {run: points(read(folder / run)) for run in runs}


def read(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def points(found, name="val_error"):
    return [(event.step, round(event.value, 6)) for event in found.Scalars(name)]


def test_a_trial_is_a_run_with_a_point_an_epoch_at_the_time_of_its_report(tmp_path):
    session = Session(tmp_path)
    session.play([0.5, 0.4, 0.25])
    session.play([0.75], Status.STOPPED)
    assert session.shown == {
        "trial-0000": [(1, 0.5), (2, 0.4), (3, 0.25)],
        "trial-0001": [(1, 0.75)],
    }
    found = read(session.board.folder / "trial-0000")
    assert {*METRICS} <= set(found.Tags()["scalars"])
    times = [event.wall_time for event in found.Scalars("val_loss")]
    reported = session.journal[0].reported_ms
    assert times == [reported[epoch] / 1000 for epoch in (1, 2, 3)]
    session.finish()


def test_an_epoch_can_be_seen_while_its_trial_runs(tmp_path):
    session = Session(tmp_path)
    number = session.suggest()
    session.report(number, 0.5)
    assert session.shown == {"trial-0000": [(1, 0.5)]}
    session.finish()


def test_the_configuration_is_there_once_a_trial_has_ended(tmp_path):
    session = Session(tmp_path)
    session.play([0.5])
    running = session.suggest()
    session.report(running, 0.25)
    session.finish()
    found = read(session.board.folder / "trial-0000")
    start = found.summary_metadata["_hparams_/session_start_info"]
    hparams = start.plugin_data.content.decode(errors="replace")
    assert "optimizer.lr" in hparams
    assert "[4, 8, 8]" in hparams
    found = read(session.board.folder / "trial-0001")
    assert "_hparams_/session_start_info" not in found.summary_metadata


@pytest.mark.parametrize("seen", ["whole", "cut", "none", "ahead"])
def test_what_a_killed_session_has_left_is_made_whole_and_nothing_is_there_twice(
    seen, tmp_path
):
    """The files may be behind the record, or torn, or not there."""
    first = Session(tmp_path)
    first.play([0.5, 0.4, 0.25])
    number = first.suggest()
    first.report(number, 0.75)
    first.report(number, 0.5)
    (file,) = (first.board.folder / "trial-0001").glob(EVENTS)
    first.die()
    if seen == "cut":
        file.write_bytes(file.read_bytes()[:-7])
    if seen == "none":
        shutil.rmtree(first.board.folder)
    if seen == "ahead":  # of a record that a machine lost with its power
        lines = (tmp_path / "record.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "record.jsonl").write_text("".join(lines[:-1]))
    second = Session(tmp_path)
    second.journal.start(number)
    while second.journal[number].epoch < 3:
        second.report(number, [0.75, 0.5, 0.125][second.journal[number].epoch])
    second.journal.end(number, Status.FINISHED)
    second.finish()
    assert second.shown == {
        "trial-0000": [(1, 0.5), (2, 0.4), (3, 0.25)],
        "trial-0001": [(1, 0.75), (2, 0.5), (3, 0.125)],
    }


def test_a_trial_whose_end_was_not_written_is_written_anew(tmp_path):
    first = Session(tmp_path)
    number = first.suggest()
    first.report(number, 0.5)
    first.journal.observers = []  # it dies between the record and the file
    first.report(number, 0.25)
    first.journal.end(number, Status.STOPPED)
    (file,) = (first.board.folder / "trial-0000").glob(EVENTS)
    os.utime(file, (1e9, 1e9))
    first.die()
    second = Session(tmp_path)
    assert second.shown == {"trial-0000": [(1, 0.5), (2, 0.25)]}
    second.finish()


def test_trials_of_sessions_without_it_are_written_by_the_next_with_it(tmp_path):
    first = Session(tmp_path, observed=False)
    first.play([0.5, 0.25])
    first.finish()
    assert first.shown == {}
    second = Session(tmp_path)
    assert second.shown == {"trial-0000": [(1, 0.5), (2, 0.25)]}
    second.finish()


def test_what_is_whole_is_not_written_again(tmp_path):
    first = Session(tmp_path)
    first.play([0.5])
    first.finish()
    (file,) = (first.board.folder / "trial-0000").glob(EVENTS)
    ended_s = first.journal[0].ended_ms / 1000
    os.utime(file, (ended_s + 5, ended_s + 5))  # whatever the file system's clock
    Session(tmp_path).finish()
    assert list((first.board.folder / "trial-0000").iterdir()) == [file]


def test_a_trial_that_runs_again_from_its_start_shows_its_new_epochs_alone(tmp_path):
    session = Session(tmp_path)
    number = session.play([0.5, 0.4], Status.FAILED)
    session.journal.reopen(number)
    session.journal.start(number)
    session.report(number, 0.25)
    assert session.shown == {"trial-0000": [(1, 0.25)]}
    session.finish()


def test_a_disk_that_is_full_is_said_once_and_ends_no_study(
    tmp_path, monkeypatch, capsys
):
    session = Session(tmp_path)
    number = session.suggest()

    def full(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.TensorBoard, "_write", full)
    for error in (0.5, 0.4):
        session.report(number, error)
    session.journal.end(number, Status.FINISHED)
    session.finish()
    err = capsys.readouterr().err
    assert err.count("No space left on device") == 1
    assert "cannot be written" in err
    assert len(session.journal[number].history) == 2


def test_a_missing_package_and_a_folder_that_cannot_be_are_refused(
    tmp_path, monkeypatch
):
    check_tensorboard(tmp_path / "not" / "there" / "yet")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StudyError, match=r"folder that can be written to, but .*/file "
    ):
        check_tensorboard(tmp_path / "file" / "board")
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    with pytest.raises(
        StudyError, match=r"it is not installed\. Run: pip install tens"
    ):
        check_tensorboard(tmp_path)


@pytest.mark.ray
@pytest.mark.soak
def test_a_study_killed_in_the_middle_has_every_epoch_once(tmp_path):
    work = Workplace(tmp_path, "--tensorboard", "board")
    for epochs in (2, 5):
        process = work.start()
        work.wait_for("epoch", work.events("epoch") + epochs, process)
        kill_driver(process)
    out = work.finish()
    assert "tensorboard --logdir board" in out
    (folder,) = (tmp_path / "board").iterdir()
    for trial in work.trials():
        history = {int(e): m["val_error"] for e, m in trial["history"].items()}
        shown = points(read(folder / f"trial-{trial['number']:04d}"))
        assert shown == [(e, round(v, 6)) for e, v in sorted(history.items())]
