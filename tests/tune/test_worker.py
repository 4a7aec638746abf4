"""A study's trainable, in-process: no Ray runtime is started here.

A worker that dies is one that is never called again; only its checkpoint stays.
"""

import gc
import math
import socket
import subprocess
import sys
import types
import weakref

import pytest
import torch
import torch.nn.functional as F
from ray.tune.result import TRIAL_INFO

from orthotune.config.metrics import METRICS, SIGNALS
from orthotune.config.trial import TrialConfig
from orthotune.errors import GpuBusyError
from orthotune.record.checkpoints import CheckpointFolder
from orthotune.record.trial_record import TrialRecord
from orthotune.storage.folder import StorageFolder
from orthotune.storage.lease import Lease
from orthotune.training.loop import Trial
from orthotune.tune import trainable, worker
from orthotune.tune.assignment import STUDY, UNFIT, UNSAVED, assignment
from orthotune.tune.trainable import OrthoTrainable
from orthotune.tune.worker import StudyTrainable
from tests import small
from tests.ray_part import trial_info

pytestmark = pytest.mark.usefixtures("one_thread")

NAME = "trial-0007-abc.pt"
FIELDS = {**small.FIELDS, "training.num_epochs": 4, "optimizer.lr": 0.05}
ALWAYS, FIRST_AND_LAST = 1e9, 0.0
"""Shares of the time for checkpoints that make one an epoch, or as few as there are."""


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(worker, "CHECKPOINT_SHARE", ALWAYS)


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(str(tmp_path / "checkpoints"))


def config(folder, reported=0, **fields):
    record = TrialRecord(number=7, key="abc", fields={**FIELDS, **fields})
    record.history = {epoch: {} for epoch in range(1, reported + 1)}
    return {STUDY: assignment(folder, record), TRIAL_INFO: trial_info(record.name)}


def test_a_driver_that_has_lost_the_study_overwrites_no_checkpoint(tmp_path, always):
    """Its workers go on for an epoch; the file is the new driver's trial's by then."""
    study = tmp_path.as_uri()
    folder = CheckpointFolder(f"{study}/checkpoints/id")
    lease = Lease(StorageFolder(study))
    lease.acquire()
    record = TrialRecord(number=7, key="abc", fields=FIELDS)
    task = assignment(folder, record, holder=lease.holder)
    trial = StudyTrainable(config={STUDY: task, TRIAL_INFO: trial_info(record.name)})
    trial.train()
    before = folder.read(NAME)
    assert before is not None
    lease.release()
    Lease(StorageFolder(study)).acquire()  # another's
    trial.train()
    trial.stop()
    assert folder.read(NAME) == before


def start(folder, reported=0, **fields):
    return StudyTrainable(config=config(folder, reported, **fields))


def shown(result):
    """What must be the same in every run of a trial."""
    return {
        name: result[name]
        for name in ("epoch", "done", *METRICS, "test_error")
        if name in result and name not in small.TIMINGS
    }


def rest(trainable):
    """The results up to the end."""
    results = [trainable.train()]
    while not results[-1]["done"]:
        results.append(trainable.train())
    return results


def train(trial):
    results = []
    while not trial.finished:
        metrics = trial.run_epoch()
        results.append(shown(metrics | {"epoch": trial.epoch, "done": trial.finished}))
    return results


def reference(**fields):
    """The same trial, trained by nothing but `Trial`."""
    return train(Trial(TrialConfig.from_dict({**FIELDS, **fields})))


def assert_ends(result, key):
    """A result that says why there is none."""
    assert result["done"]
    assert result[key].startswith("Traceback")
    assert {"error", "oom"} & result.keys() == {key}
    assert "epoch" not in result
    assert result["val_error"] == 1
    assert all(math.isfinite(result[name]) for name in METRICS)


def test_a_trial_of_a_study_equals_the_trial_without_one(folder):
    one = start(folder)
    assert [shown(result) for result in rest(one)] == reference()


def test_a_trial_that_is_asked_reports_signals_of_its_first_epoch_alone(folder):
    asked = config(folder)
    asked[STUDY]["signals"] = True
    results = rest(StudyTrainable(config=asked))
    told = [set(SIGNALS) & result.keys() for result in results]
    assert told == [set(SIGNALS), *[set()] * (len(results) - 1)]
    assert [shown(result) for result in results] == reference()


# Death


@pytest.mark.parametrize("share", [ALWAYS, FIRST_AND_LAST])
def test_killed_after_any_epoch_and_started_again_it_is_as_if_never_stopped(
    tmp_path, monkeypatch, share
):
    monkeypatch.setattr(worker, "CHECKPOINT_SHARE", share)
    expected = reference(**{"training.evaluate_test": True})
    for killed in range(5):
        for reported in range(min(killed, 3) + 1):
            folder = CheckpointFolder(str(tmp_path / f"{killed}-{reported}"))
            first = start(folder, **{"training.evaluate_test": True})
            before = [first.train() for _ in range(killed)]
            assert [shown(result) for result in before] == expected[:killed]
            del first
            saved = killed if share or killed == 4 else min(killed, 1)
            torch.manual_seed(killed)
            second = start(folder, reported, **{"training.evaluate_test": True})
            after = [shown(result) for result in rest(second)]
            # First what the checkpoint knows and the driver may not, then the rest.
            assert after == expected[min(reported, saved) :], (killed, reported)


def test_epochs_of_the_checkpoint_are_reported_again_without_training(
    folder, always, monkeypatch
):
    first = start(folder)
    before = [first.train() for _ in range(3)]
    monkeypatch.setattr(Trial, "run_epoch", None)
    second = start(folder, reported=1)
    for result in before[1:]:
        again = second.train()
        assert {name: again[name] for name in (*METRICS, "epoch")} == {
            name: result[name] for name in (*METRICS, "epoch")
        }  # also the timings: they are those of the training


def test_killed_again_and_again_it_comes_to_the_same_end(folder, always):
    results = []
    while not results or not results[-1]["done"]:
        results.append(start(folder, reported=len(results)).train())
    assert [shown(result) for result in results] == reference()


def test_a_diverging_trial_diverges_again_after_a_death(folder, always):
    explosive = {"optimizer.lr": 100, "regularizer.coeff": 1000}
    expected = reference(**explosive)
    assert expected[-1]["diverged"] == 1
    first = start(folder, **explosive)
    assert [shown(result) for result in rest(first)] == expected
    first.stop()
    last = len(expected) - 1
    second = start(folder, reported=last, **explosive)
    assert [shown(result) for result in rest(second)] == expected[last:]


def test_a_worker_that_is_stopped_keeps_what_it_has_trained(folder, monkeypatch):
    monkeypatch.setattr(worker, "CHECKPOINT_SHARE", FIRST_AND_LAST)
    first = start(folder)
    for _ in range(3):
        first.train()
    before = folder.read(NAME)
    first.stop()
    assert folder.read(NAME) != before
    second = start(folder, reported=3)
    assert [shown(result) for result in rest(second)] == reference()[3:]
    content = folder.read(NAME)
    second.stop()  # nothing is new
    assert folder.read(NAME) == content


def test_an_actor_used_again_starts_its_next_trial_from_nothing(folder, tmp_path):
    one = start(folder)
    one.train()
    other = CheckpointFolder(str(tmp_path / "other"))
    assert one.reset(config(other, seed=3))
    assert [shown(result) for result in rest(one)] == reference(seed=3)


# Errors


@pytest.mark.parametrize("left", [0, 100, -100])
def test_a_damaged_checkpoint_ends_the_trial_with_its_path(folder, left):
    start(folder).train()
    damaged = folder.read(NAME)[:left]
    folder.write(NAME, damaged)
    result = start(folder).train()
    assert_ends(result, "error")
    last = result["error"].strip().splitlines()[-1]
    assert f"CheckpointError: {folder.uri}/{NAME} must be a checkpoint" in last
    assert folder.read(NAME) == damaged  # for whoever wants to look at it


def test_a_checkpoint_of_another_trial_ends_the_trial(folder):
    start(folder).train()
    result = start(folder, **{"optimizer.lr": 0.02}).train()
    assert_ends(result, "error")
    assert "`optimizer.lr` is 0.05 there and 0.02 here" in result["error"]


def test_an_exception_while_training_ends_the_trial(folder, always, monkeypatch):
    one = start(folder)
    one.train()
    content = folder.read(NAME)

    def fail(_trial):
        raise ZeroDivisionError("in the second epoch")

    with monkeypatch.context() as patch:
        patch.setattr(Trial, "run_epoch", fail)
        result = one.train()
    assert_ends(result, "error")
    assert result["error"].endswith("ZeroDivisionError: in the second epoch\n")
    one.stop()
    assert folder.read(NAME) == content
    again = start(folder, reported=1)
    assert [shown(result) for result in rest(again)] == reference()[1:]


def test_an_exception_while_building_ends_the_trial(folder, monkeypatch):
    def fail(*_args):
        raise ZeroDivisionError("before the first epoch")

    with monkeypatch.context() as patch:
        patch.setattr(Trial, "__init__", fail)
        one = start(folder)
        assert_ends(one.train(), "error")
    one.stop()
    assert folder.names() == []
    assert one.reset(config(folder))
    assert [shown(result) for result in rest(one)] == reference()


# Memory


@pytest.fixture
def memory(monkeypatch):
    """A memory that holds so many images of a backward pass, or fails as it says."""
    real = F.cross_entropy
    memory = types.SimpleNamespace(images=math.inf, asked=[])
    memory.error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    def cross_entropy(logits, targets, **how):
        if torch.is_grad_enabled():
            memory.asked.append(len(targets))
            if len(targets) > memory.images:
                raise memory.error
        return real(logits, targets, **how)

    monkeypatch.setattr(F, "cross_entropy", cross_entropy)
    return memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCre"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
)
def test_a_trial_that_does_not_fit_is_trained_in_smaller_parts(folder, memory, error):
    expected = reference(**{"data.num_micro_batches": 2})
    assert expected != reference()
    memory.images, memory.asked, memory.error = 16, [], error
    assert [shown(result) for result in rest(start(folder))] == expected
    assert memory.asked == [32] + [16] * (4 * 3 * 2)


def test_smaller_parts_are_told_and_kept_by_the_next_worker(folder, always, memory):
    one = start(folder)
    assert "lived" not in one.train()
    memory.images = 16
    results = [one.train(), one.train()]
    told = [r for r in results if "lived" in r]
    assert told
    assert all(r["lived"] == {"data.num_micro_batches": 2} for r in told)
    assert results[-1]["hp/data.num_micro_batches"] == 2.0
    one.stop()
    task = config(folder)
    task[STUDY] |= {"parted": True}
    task[STUDY]["fields"] |= {"data.num_micro_batches": 2}
    again = StudyTrainable(task)
    rest_of = rest(again)
    assert rest_of[-1]["hp/data.num_micro_batches"] == 2.0
    assert rest_of[-1]["lived"] == {"data.num_micro_batches": 2}


def test_a_node_that_is_not_fit_ends_no_trial(folder, monkeypatch):
    monkeypatch.setattr(worker, "node_problem", lambda _looked: "It must have torch 2.")
    result = start(folder).train()
    assert result["node_error"] == "It must have torch 2."
    assert not result["done"]
    assert "epoch" not in result


def test_an_error_that_is_not_of_memory_is_not_tried_again(folder, memory):
    memory.images, memory.error = 16, RuntimeError("shapes cannot be multiplied")
    assert_ends(start(folder).train(), "error")
    assert memory.asked == [32]


def test_a_trial_that_does_not_fit_in_smaller_parts_either_is_a_result(folder, memory):
    memory.images = 8
    one = start(folder)
    assert_ends(one.train(), "oom")
    assert memory.asked == [32, 16]
    one.stop()
    assert folder.names() == []
    memory.images = math.inf
    assert one.reset(config(folder))  # the next trial starts with the whole batch
    assert [shown(result) for result in rest(one)] == reference()


@pytest.mark.parametrize("size", [2, 3])
def test_a_batch_that_cannot_be_parted_any_more_is_out_of_memory(folder, memory, size):
    memory.images = 1
    small = {"data.batch_size": size, "data.num_train": 2 * size}
    assert_ends(start(folder, **small).train(), "oom")
    assert memory.asked == [size]


def test_memory_that_runs_out_in_the_middle_costs_no_epoch(folder, always, memory):
    whole = Trial(TrialConfig.from_dict(FIELDS))
    expected = [shown(whole.run_epoch() | {"epoch": n, "done": False}) for n in (1, 2)]
    parts = Trial(TrialConfig.from_dict({**FIELDS, "data.num_micro_batches": 2}))
    parts.load_state_dict(whole.state_dict())
    expected += train(parts)

    one = start(folder)
    results = [one.train(), one.train()]
    memory.images = 16
    results += rest(one)
    by_epoch = {result["epoch"]: shown(result) for result in reversed(results)}
    assert [by_epoch[epoch] for epoch in (1, 2, 3, 4)] == expected
    # What is reported once more is what was reported before.
    assert all(shown(result) == by_epoch[result["epoch"]] for result in results)


# Checkpoints


def test_a_folder_that_cannot_be_written_is_told_and_training_goes_on(
    folder, tmp_path, always
):
    one = start(folder)
    (tmp_path / "checkpoints").write_text("in the way")
    first, second = one.train(), one.train()
    for result in (first, second):
        assert result["checkpoint_error"] == f"{folder.uri}/: File exists"
        assert not result["done"]
    (tmp_path / "checkpoints").unlink()
    third, fourth = rest(one)
    assert "checkpoint_error" not in third
    assert [shown(r) for r in (first, second, third, fourth)] == reference()
    # What went wrong once is not told again by the next worker.
    assert all("checkpoint_error" not in result for result in rest(start(folder)))


def test_the_keys_of_a_storage_are_not_told(folder, always, monkeypatch):
    def fail(_self, _name, _content):
        raise OSError("s3://AK:SECRET@b/p does not answer")

    one = start(folder)
    one._folder = CheckpointFolder("s3://AK:SECRET@b/p")
    monkeypatch.setattr(CheckpointFolder, "write", fail)
    told = one.train()["checkpoint_error"]
    assert told == "s3://AK:HIDDEN@b/p/: s3://AK:HIDDEN@b/p does not answer"


@pytest.mark.parametrize(
    ("saving_s", "saved"),
    [
        (0.0, list(range(1, 31))),
        # An epoch takes a second: a quarter of one may be spent every five.
        (0.25, [1, 6, 11, 16, 21, 26, 30]),
        (100.0, [1, 30]),
    ],
)
def test_checkpoints_take_a_twentieth_of_the_time(folder, monkeypatch, saving_s, saved):
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(worker, "time", clock)
    epochs, train_epoch = [], Trial.run_epoch
    write, written = CheckpointFolder.write, []

    def run_epoch(trial):
        now[0] += 1
        epochs.append(trial.epoch + 1)
        return train_epoch(trial)

    def slow_write(*args):
        now[0] += saving_s
        written.append(epochs[-1])
        write(*args)

    monkeypatch.setattr(Trial, "run_epoch", run_epoch)
    monkeypatch.setattr(CheckpointFolder, "write", slow_write)
    rest(start(folder, **{"training.num_epochs": 30, "data.num_train": 32}))
    assert written == saved


def test_what_runs_on_a_worker_never_opens_a_tracking_store():
    # Several processes that open a fresh SQLite store at once break it for good.
    code = "import sys, orthotune.tune.worker as w; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# A storage that does not answer


def test_a_storage_that_fails_for_a_while_is_asked_again(folder, monkeypatch):
    first = start(folder)
    first.train()
    first.stop()
    answers = iter([OSError(110, "timed out"), OSError(110, "timed out")])
    load = CheckpointFolder.load

    def unsteady(self, name):
        for err in answers:
            raise err
        return load(self, name)

    waits = []
    clock = types.SimpleNamespace(monotonic=lambda: 0.0, sleep=waits.append)
    monkeypatch.setattr(CheckpointFolder, "load", unsteady)
    monkeypatch.setattr(worker, "time", clock)
    second = start(folder, reported=1)
    assert [shown(result) for result in rest(second)] == reference()[1:]
    assert waits == [5.0, 5.0]


def test_a_storage_that_stays_away_ends_the_study_and_no_trial(folder, monkeypatch):
    def away(_self, _name):
        raise OSError(110, "timed out")

    monkeypatch.setattr(CheckpointFolder, "load", away)
    monkeypatch.setattr(worker, "STORAGE_WAIT_S", 0.01)
    trial = start(folder)
    for _ in range(2):  # Ray may ask again before it hears
        result = trial.train()
        assert result[UNSAVED] == f"{folder.uri}/{NAME}: timed out"
        assert not result["done"]
        assert "epoch" not in result
        assert "error" not in result


def test_data_that_are_not_there_any_more_end_no_trial(folder, tmp_path):
    root = tmp_path / "none"
    missing = {"data.name": "cifar10", "data.root": str(root)}
    result = start(folder, **missing).train()
    assert result[UNFIT].startswith(
        f"{socket.gethostname()} must have the data: `data.root` must hold CIFAR10, "
        f"but {root} is not there. "
    )
    assert not result["done"]
    assert "epoch" not in result
    assert "error" not in result


# GPUs, which are made up


def test_a_gpu_that_torch_cannot_use_ends_no_trial_and_trains_none(folder, monkeypatch):
    monkeypatch.setattr(OrthoTrainable, "_gpus", lambda self: 0.25)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = start(folder).train()
    assert "must be able to use the GPU that Ray has given it on" in result[UNFIT]
    assert not result["done"]
    assert "epoch" not in result


def test_a_process_that_can_compute_no_more_is_left_to_ray(folder, monkeypatch, capsys):
    """Which starts another, that goes on as if nothing had been: not from the middle
    of an epoch."""
    monkeypatch.setattr(worker, "CHECKPOINT_SHARE", FIRST_AND_LAST)
    one = start(folder)
    results = [one.train(), one.train()]  # of which the second is not saved
    real, calls = F.cross_entropy, []

    def second_fails(logits, targets, **how):
        calls.append(1)
        if len(calls) == 2:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")
        return real(logits, targets, **how)

    with monkeypatch.context() as patch:
        patch.setattr(F, "cross_entropy", second_fails)
        patch.setattr(worker, "is_broken", lambda: True)
        with pytest.raises(torch.AcceleratorError, match="launch failure"):
            one.train()
    assert "in second_fails" in capsys.readouterr().err  # what its log will say
    one.stop()
    again = rest(start(folder, reported=2))  # from the checkpoint, after one epoch
    shown_all = [shown(result) for result in (*results, *again)]
    assert shown_all[:2] + shown_all[3:] == reference()
    assert shown_all[2] == shown_all[1]


@pytest.fixture
def on_a_gpu(monkeypatch):
    """A GPU that has room; what is asked of it: share, bytes, and whether a trial is
    still there."""
    asked, made = [], []
    monkeypatch.setattr(OrthoTrainable, "_device", lambda self: "cuda")

    def on_the_cpu(trained, _device):
        trial = Trial(trained, "cpu")
        made.append(weakref.ref(trial))
        return trial

    def make_room(share, needed):
        gc.collect()
        asked.append((share, needed, sum(ref() is not None for ref in made)))

    monkeypatch.setattr(trainable, "Trial", on_the_cpu)
    monkeypatch.setattr(trainable.gpu, "make_room", make_room)
    return asked


def test_the_last_trial_is_gone_before_room_is_made_for_the_next(folder, on_a_gpu):
    one = start(folder)
    one.train()
    task = config(folder, seed=3)
    task[STUDY]["gpu_bytes"] = 7
    assert one.reset(task)
    assert on_a_gpu == [(1.0, None, 0), (1.0, 7, 0)]


def test_a_gpu_that_others_hold_ends_the_trial_as_failed(folder, on_a_gpu, monkeypatch):
    def busy(_share, _needed):
        raise GpuBusyError("A trial must find 1.0 GB free: process 7 has 2.0 GB.")

    monkeypatch.setattr(trainable.gpu, "make_room", busy)
    result = start(folder).train()
    assert_ends(result, "error")
    assert "process 7 has 2.0 GB." in result["error"].splitlines()[-1]
