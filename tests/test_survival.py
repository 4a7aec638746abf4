"""Whole studies that are killed, starved, broken and extended, as a user meets it."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.crashes import (
    HANGING_S,
    Server,
    Workplace,
    assert_mlflow_agrees,
    assert_the_same,
    command,
    end_everything,
    ended,
    interrupt,
    kill_driver,
    kill_session,
    kill_worker,
    processes,
    runs_of,
)
from tests.import_hook import python_path
from tests.said import refusal

pytestmark = pytest.mark.ray


def checkpoints(work):
    """The study's checkpoints, by name."""
    folder = work.folder / "studies" / "killed" / "checkpoints"
    return {path.name: path for path in folder.rglob("*.pt")}


def store(work):
    return f"sqlite:///{work.folder}/mlflow.db"


def assert_undisturbed(work, reference):
    """It ended as the study that nobody disturbed, in its files and in its store."""
    assert_the_same(work, reference)
    assert_mlflow_agrees(work, store(work))


def test_an_undisturbed_study_is_in_mlflow_once(reference):
    assert_mlflow_agrees(reference, store(reference))
    statuses = {trial["status"] for trial in reference.trials()}
    assert {"finished", "stopped"} <= statuses  # or the comparisons would be weak
    finished = [t for t in reference.trials() if t["status"] == "finished"]
    expected = {f"trial-{t['number']:04d}-{t['key']}.pt" for t in finished}
    assert len(expected) <= 3
    assert set(checkpoints(reference)) == expected  # no loser keeps one


def test_killed_again_and_again_it_is_the_study_nobody_disturbed(reference, tmp_path):
    work = Workplace(tmp_path)
    codes = []
    for kind, kill in enumerate([kill_driver, end_everything, kill_worker]):
        before = work.events("epoch")
        process = work.start()
        work.wait_for("epoch", before + 2 + kind, process)
        kill(process)
        _, err = ended(process)
        assert "Traceback" not in err
        codes.append(process.returncode)
    # The second ended in order, with Ray's help; to the last another worker came.
    assert codes == [-signal.SIGKILL, 130, 0], err
    work.finish()
    assert_undisturbed(work, reference)


@pytest.mark.soak
def test_a_study_killed_in_its_audits_is_the_study_nobody_disturbed(tmp_path):
    audited = ("--set", "search.audit=1", "--set", "search.num_trials=10")
    reference = Workplace(tmp_path / "reference", *audited)
    reference.finish()
    assert sum("audit" in trial for trial in reference.trials()) > 2
    work = Workplace(tmp_path / "work", *audited)
    for count, kill in enumerate([kill_driver, interrupt, kill_worker], 1):
        process = work.start()
        work.wait_for("condemned", count, process)
        work.wait_for("epoch", work.events("epoch") + count - 1, process)
        kill(process)
        ended(process)
    work.finish()
    assert_undisturbed(work, reference)


@pytest.mark.soak
def test_a_study_killed_before_its_first_trial_begins_again(reference, tmp_path):
    work = Workplace(tmp_path)
    for _ in range(2):  # while MLflow's tables are made, and while Ray starts
        process = work.start()
        while process.poll() is None and not list(tmp_path.glob("*mlflow.db*")):
            time.sleep(0.01)
        kill_driver(process)
    process = work.start()
    work.wait_for("session", 1, process)
    kill_driver(process)
    work.finish()
    assert_undisturbed(work, reference)


@pytest.mark.soak
def test_killed_at_random_moments_of_its_confirmation_it_is_undisturbed(tmp_path):
    confirmed = "--set search.confirm.top=3 --set search.confirm.seeds=4".split()
    whole = Workplace(tmp_path / "whole", *confirmed)
    whole.finish(limit=1)
    assert [t["validates"] is None for t in whole.trials()][7:9] == [True, False]
    work, rng = Workplace(tmp_path / "killed", *confirmed), random.Random(0)
    for kill in (kill_driver, end_everything, kill_driver, kill_driver):
        process = work.start()
        work.wait_for("confirm", 1, process)
        further = work.events("epoch") + rng.randint(1, 12)
        work.wait_for("epoch", further, process)
        time.sleep(rng.uniform(0, 0.1))
        kill(process)
        ended(process)
    work.finish()
    assert_undisturbed(work, whole)
    assert work.record.read_text().count('"event":"confirm"') == 1


@pytest.mark.soak
def test_a_worker_that_dies_between_two_trials_fails_none(reference, tmp_path):
    work = Workplace(tmp_path)
    process = work.start()
    for count in (1, 3):
        work.wait_for("ended", count, process)
        kill_worker(process)
    _, err = ended(process)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert_undisturbed(work, reference)


BROKEN_ONCE = """\
from pathlib import Path


def change(loop):
    whole = loop.Trial.run_epoch

    def broken(_trial):
        raise loop.torch.AcceleratorError("CUDA error: unspecified launch failure")

    def run_epoch(trial):
        if trial.epoch == 2 and not Path({file!r}).exists():
            Path({file!r}).touch()
            loop.Trial.run_epoch = broken  # from now on, in this process
            loop.torch.cuda.is_initialized = lambda: True
            loop.torch.cuda.synchronize = lambda: broken(trial)
            return broken(trial)
        return whole(trial)

    loop.Trial.run_epoch = run_epoch


CHANGES = {{"orthotune.training.loop": change}}
"""


@pytest.mark.soak
def test_a_process_that_can_compute_no_more_is_replaced_and_fails_no_trial(
    reference, tmp_path, monkeypatch
):
    """As after an error of a GPU: whatever trains there next would fail as well."""
    broken = tmp_path / "broken"
    path = python_path(tmp_path / "site", BROKEN_ONCE.format(file=str(broken)))
    monkeypatch.setenv("PYTHONPATH", path)
    work = Workplace(tmp_path / "work")
    _, err = ended(process := work.start())
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert broken.exists()
    assert_undisturbed(work, reference)


def statuses(work):
    """Those of all runs of the study in MLflow."""
    _, parent, trials = runs_of(work.folder, "killed")
    return {run.info.status for run in (parent, *trials)}


@pytest.mark.soak
def test_a_polite_kill_of_every_process_ends_in_order(tmp_path):
    work = Workplace(tmp_path, "--set", "search.max_epochs=500")
    process = work.start()
    work.wait_for("epoch", 2, process)
    for pid in processes(process.pid, ""):
        os.kill(pid, signal.SIGTERM)
    out, err = ended(process)
    assert process.returncode == 130, err
    assert "Continue it" in out
    assert "died" not in err
    assert statuses(work) <= {"KILLED", "FINISHED", "FAILED"}


def said_on(process, text):
    """Wait for a line on standard error; that and what came before."""
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            return seen
    raise AssertionError(seen)


@pytest.mark.parametrize(
    ("number", "late_s"),
    [
        (signal.SIGTERM, 0.2),
        *(
            pytest.param(number, late_s, marks=pytest.mark.soak)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
            for late_s in (0.0, 1.0, 2.5, 5.0)
        ),
    ],
)
def test_a_signal_while_ray_starts_ends_it_with_a_sentence_and_leaves_nothing(
    number, late_s, tmp_path, monkeypatch
):
    scratch = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))  # sockets: short
    monkeypatch.setenv("TMPDIR", str(scratch))
    work = Workplace(tmp_path)
    process = work.start()
    said_on(process, "starting Ray ...")
    time.sleep(late_s)  # on a slow machine Ray is less far then
    os.killpg(process.pid, number)
    out, err = ended(process)
    assert process.returncode == 130, err
    stopped = "orthotune: stopped; the study has not begun, and the same command begi"
    # Ray's part in C++ may tell of the signal, too, if it has come up so far.
    assert err.splitlines()[-1] == f"{stopped}ns it."
    assert "Traceback" not in err
    assert out == ""
    assert os.listdir(work.folder) == ["killed.yaml"]
    assert os.listdir(scratch) == []
    scratch.rmdir()
    end_s = time.monotonic() + HANGING_S
    while processes(process.pid, "ray"):  # what is killed is gone soon
        assert time.monotonic() < end_s
        time.sleep(0.05)


@pytest.mark.soak
@pytest.mark.parametrize("server", ["/gcs_server ", "/raylet "])
def test_a_driver_that_loses_its_ray_closes_its_runs(server, tmp_path, reference):
    """As when memory runs out; Ray itself would abort it after a minute."""
    work = Workplace(tmp_path)
    process = work.start()
    work.wait_for("epoch", 3, process)
    for pid in processes(process.pid, server):
        os.kill(pid, signal.SIGKILL)
    _, err = ended(process)
    assert process.returncode == 1
    assert "Ray must stay up while a study runs" in err.splitlines()[-1]
    assert "the same command continues" in err.splitlines()[-1]
    assert statuses(work) <= {"KILLED", "FINISHED", "FAILED"}
    work.finish()
    assert_undisturbed(work, reference)


@pytest.mark.soak
def test_a_study_under_nohup_outlives_its_terminal(tmp_path):
    work = Workplace(tmp_path, "--set", "search.max_epochs=500", on=["nohup"])
    process = work.start()
    work.wait_for("epoch", 2, process)
    for pid in processes(process.pid, ""):
        os.kill(pid, signal.SIGHUP)
    seen = work.events("epoch")
    work.wait_for("epoch", seen + 5, process)
    assert process.poll() is None
    kill_session(process.pid)
    ended(process)


@pytest.mark.soak
def test_a_study_whose_reader_has_left_is_closed_all_the_same(tmp_path):
    """Ctrl-C in `... 2>&1 | tee log` ends tee first."""
    work = Workplace(tmp_path, "--set", "search.max_epochs=500")
    process = work.start()
    work.wait_for("epoch", 2, process)
    process.stdout.close()
    os.kill(process.pid, signal.SIGINT)
    err = process.stderr.read()
    assert process.wait(HANGING_S) == 130, err
    assert "Traceback" not in err
    assert "-m orthotune.search killed.yaml" in err.splitlines()[-1]
    assert statuses(work) <= {"KILLED", "FINISHED", "FAILED"}


@pytest.mark.soak
def test_ctrl_c_says_how_to_continue_and_leaves_nothing_running(tmp_path):
    work = Workplace(tmp_path)
    process = work.start()
    work.wait_for("epoch", 3, process)
    os.kill(process.pid, signal.SIGINT)
    out, err = ended(process)
    assert process.returncode == 130, err
    assert "-m orthotune.search killed.yaml" in out.split("Continue it")[1]
    client = MlflowClient(tracking_uri=store(work))
    experiment = client.get_experiment_by_name("killed")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} <= {"KILLED", "FINISHED", "FAILED"}
    (live,) = [t for t in work.trials() if t["status"] == "interrupted"]
    assert f"trial-{live['number']:04d}-{live['key']}.pt" in checkpoints(work)


def test_a_finished_study_is_shown_again_without_training(reference):
    before = reference.record.read_bytes()
    out = reference.finish(limit=1)
    assert "First of those that ran 8 epochs, not confirmed" in out
    assert "Continue it" not in out
    assert reference.record.read_bytes() == before
    assert_mlflow_agrees(reference, store(reference))


def test_another_question_under_the_same_name_is_refused(reference):
    before = reference.record.read_bytes()
    different = ["--set", "optimizer.lr=0.1"]
    process = command(reference.folder, "killed.yaml", *different)
    _, err = ended(process)
    assert process.returncode == 2
    said = "must go on as it began, but `fixed.optimizer.lr` was absent and is 0.1"
    assert said in refusal(err)
    assert "--name" in err
    assert reference.record.read_bytes() == before


@pytest.mark.soak
def test_a_second_driver_is_kept_off(tmp_path):
    work = Workplace(tmp_path, "--set", "search.max_epochs=500")
    first = work.start()
    try:
        work.wait_for("started", 1, first)
        second = work.start()
        _, err = ended(second)
        assert second.returncode == 2
        holder = f"Only one process may run a study, but process {first.pid} on"
        assert holder in refusal(err)
    finally:
        kill_driver(first)
    third = work.start()  # the lock of the dead is nobody's
    work.wait_for("session", 2, third)
    assert work.events("session") == 2
    kill_driver(third)


@pytest.mark.soak
def test_more_trials_are_added_to_those_that_ran(reference, tmp_path):
    shutil.copytree(reference.folder, tmp_path / "more")
    work = Workplace(tmp_path / "more", "--set", "search.num_trials=12")
    before = work.trials()
    work.finish(limit=1)
    after = work.trials()
    assert len(after) == 12
    assert after[: len(before)] == before
    started = [
        json.loads(line.rpartition("\t")[0])
        for line in work.record.read_text().splitlines()
    ]
    numbers = [e["number"] for e in started if e["event"] == "started"]
    assert sorted(numbers) == list(range(12))  # none twice
    assert_mlflow_agrees(work, store(work))


@pytest.mark.soak
def test_a_tracking_server_that_dies_gets_everything_when_it_is_back(
    reference, tmp_path
):
    server = Server(tmp_path / "server")
    try:
        work = Workplace(tmp_path, "--tracking-uri", server.uri)
        process = work.start()
        work.wait_for("epoch", 2, process)
        server.kill()
        out, err = ended(process)
        assert process.returncode == 0, err
        assert err.count("warning: MLflow") == 1
        assert "MLflow is incomplete" in out
        assert "Continue it" in out
        assert_the_same(work, reference)
        server.start()
        assert "MLflow is incomplete" not in work.finish(limit=1)
        assert_mlflow_agrees(work, server.uri)
    finally:
        server.kill()


@pytest.mark.soak
def test_a_damaged_record_and_a_cut_checkpoint_are_one_sentence_each(
    reference, tmp_path
):
    work = Workplace(tmp_path)
    process = work.start()
    work.wait_for("epoch", 3, process)
    kill_driver(process)
    whole = work.record.read_bytes()
    work.record.write_bytes(whole.replace(b'"number":0', b'"number":7', 1))
    err = refused(work)
    assert "record.jsonl:3: the study's record must be as it was written" in err
    work.record.write_bytes(whole)
    (checkpoint,) = checkpoints(work).values()
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: len(content) // 2])
    assert f"{checkpoint} must be a checkpoint" in refused(work)
    checkpoint.write_bytes(content)
    work.finish()
    assert_the_same(work, reference)


def refused(work):
    process = work.start()
    out, err = ended(process)
    assert process.returncode == 2, err
    assert out == ""
    return refusal(err)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 5 MB."""
    path = tmp_path / "small"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip(f"no right to mount a file system here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(folder):
    """Write until there is no room."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return path


@pytest.mark.soak
def test_a_full_disk_stops_the_study_and_room_continues_it(
    reference, tmp_path, small_disk
):
    work = Workplace(tmp_path, "--storage", str(small_disk))
    record = small_disk / "killed" / "record.jsonl"
    process = work.start()
    while process.poll() is None and not record.exists():
        time.sleep(0.02)
    filler = fill(small_disk)
    out, err = ended(process)
    assert process.returncode == 1, (out, err)
    assert "Traceback" not in err
    (sentence,) = [line for line in err.splitlines() if "must be writable" in line]
    assert "No space left on device" in sentence
    assert "the same command continues" in sentence
    filler.unlink()
    work.finish()
    shutil.copytree(small_disk, work.folder / "studies", dirs_exist_ok=True)
    assert_undisturbed(work, reference)


@pytest.mark.soak
def test_a_read_only_storage_is_one_sentence(tmp_path, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    work = Workplace(tmp_path, "--storage", str(small_disk))
    assert "--storage must be a folder that can be written to" in refused(work)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    process = work.start()
    while process.poll() is None and not (small_disk / "killed").exists():
        time.sleep(0.05)
    assert (small_disk / "killed").exists()
    kill_driver(process)
