"""What is asked of a GPU; there is none here, so its answers are made up."""

from types import SimpleNamespace

import pytest
import torch

from orthotune.errors import GpuBusyError
from orthotune.training import gpu

GB = 10**9
LISTED = f"""GPU:0
process {1:>10d} uses {1500.0:>12.3f} MB GPU memory
process {99999999:>10d} uses {30000.0:>12.3f} MB GPU memory"""


class FakeGpu:
    """80 GB, of which others hold some."""

    def __init__(self, monkeypatch):
        self.held = 0
        self.reserved = 0
        self.fraction = None
        self.listed = LISTED
        answers = {
            "mem_get_info": self.left,
            "get_device_properties": lambda _n: SimpleNamespace(total_memory=80 * GB),
            "memory_reserved": lambda: self.reserved,
            "empty_cache": lambda: None,
            "list_gpu_processes": self.list_processes,
            "set_per_process_memory_fraction": self.cap,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer)
        self.waits = []
        monkeypatch.setattr(gpu.time, "sleep", self.waits.append)

    def left(self):
        free = 80 * GB - self.held - self.reserved
        if free < GB // 2:  # which it takes to be there
            raise torch.AcceleratorError("CUDA error: out of memory")
        return free, 80 * GB

    def list_processes(self, number):
        assert number == 0  # without it torch makes a context to know which
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed

    def cap(self, fraction):
        self.fraction = fraction


@pytest.fixture
def fake(monkeypatch):
    return FakeGpu(monkeypatch)


def test_a_trial_that_finds_room_does_not_wait_and_keeps_to_its_share(fake):
    fake.held = 60 * GB
    gpu.make_room(0.25, 19 * GB)
    assert (fake.fraction, fake.waits) == (0.25, [])
    gpu.make_room(2.0, 19 * GB)  # whole GPUs, of which it uses one
    assert fake.fraction == 1.0


def test_what_this_process_has_taken_already_counts_as_room(fake):
    fake.held, fake.reserved = 60 * GB, 15 * GB  # 5 are free
    gpu.make_room(0.25, 20 * GB)
    assert fake.waits == []


def test_memory_that_is_released_late_is_waited_for(fake, monkeypatch):
    fake.held = 75 * GB

    def release(seconds):
        fake.waits.append(seconds)
        fake.held -= 30 * GB

    monkeypatch.setattr(gpu.time, "sleep", release)
    gpu.make_room(0.5, 40 * GB)
    assert len(fake.waits) == 2


def test_where_there_is_no_room_to_ask_there_is_none_and_it_is_waited_for(
    fake, monkeypatch
):
    fake.held = 80 * GB

    def release(seconds):
        fake.waits.append(seconds)
        fake.held -= 30 * GB

    monkeypatch.setattr(gpu.time, "sleep", release)
    gpu.make_room(0.5, None)
    assert len(fake.waits) == 1


def test_another_error_of_the_gpu_is_not_waited_for(fake, monkeypatch):
    def broken():
        raise torch.AcceleratorError("CUDA error: an illegal memory access")

    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    with pytest.raises(torch.AcceleratorError, match="illegal"):
        gpu.make_room(0.5, None)
    assert fake.waits == []


@pytest.mark.parametrize(("measured", "asked"), [(40, 36), (200, 36), (20, 20)])
def test_no_more_than_most_of_its_share_is_waited_for(
    fake, monkeypatch, measured, asked
):
    """Measured on a larger GPU, or so much that a megabyte would decide."""
    monkeypatch.setattr(gpu, "WAIT_S", 0.0)
    fake.held = 75 * GB
    with pytest.raises(GpuBusyError, match=rf"must find {asked}\.0 GB free"):
        gpu.make_room(0.5, measured * GB)


def test_who_measures_waits_to_be_alone(fake, monkeypatch):
    def leave(seconds):
        fake.waits.append(seconds)
        fake.listed = "GPU:0\nno processes are running"

    monkeypatch.setattr(gpu.time, "sleep", leave)
    gpu.wait_to_be_alone(60)
    assert len(fake.waits) == 1
    fake.listed = RuntimeError("not of a part of a GPU")
    gpu.wait_to_be_alone(60)
    fake.listed = LISTED
    with pytest.raises(GpuBusyError, match=r"must be free .* process 99999999 has 30"):
        gpu.wait_to_be_alone(-1)
    monkeypatch.setattr(gpu, "_command", lambda _pid: " (nvidia-cuda-mps-server)")
    gpu.wait_to_be_alone(-1)
    assert len(fake.waits) == 1


def test_memory_that_is_not_released_names_its_holders(fake, monkeypatch):
    monkeypatch.setattr(gpu, "WAIT_S", 0.0)
    fake.held = 75 * GB
    with pytest.raises(GpuBusyError) as caught:
        gpu.make_room(0.5, 40 * GB)
    said = str(caught.value)
    assert said.startswith(
        "A trial must find 36.0 GB free on its GPU, but after 0 s there are 5.0 GB: "
        "process 99999999 has 30.0 GB, process 1 ("
    )
    assert said.endswith("Stop what holds it, or lower `resources.gpus`.")
    assert fake.fraction is None


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("GPU:0\nno processes are running", "no process says that it has the rest"),
        (RuntimeError("no NVML here"), "is not known (no NVML here)"),
    ],
)
def test_a_driver_that_names_nobody_is_said_so(fake, monkeypatch, listed, words):
    monkeypatch.setattr(gpu, "WAIT_S", 0.0)
    fake.held, fake.listed = 75 * GB, listed
    with pytest.raises(GpuBusyError, match="free on its GPU") as caught:
        gpu.wait_for(40 * GB)
    assert words in str(caught.value)


@pytest.mark.parametrize(("held", "waits"), [(20, False), (39, False), (51, True)])
def test_without_a_measure_most_of_the_share_must_be_there(
    fake, monkeypatch, held, waits
):
    monkeypatch.setattr(gpu, "WAIT_S", 0.0)
    fake.held = held * GB  # of a half, 30 GB are asked for
    if waits:
        with pytest.raises(GpuBusyError, match=r"must find 30\.0 GB free"):
            gpu.make_room(0.5, None)
    else:
        gpu.make_room(0.5, None)


def test_utilization_is_sampled_until_the_block_ends(monkeypatch):
    answers = iter([30, 50, 40])
    monkeypatch.setattr(torch.cuda, "utilization", lambda: next(answers))
    samples = []
    with gpu.busy_share(samples, every_s=0.001):
        while len(samples) < 3:
            pass
    assert samples == [0.3, 0.5, 0.4]  # and then the driver told nothing more


def test_no_gpu_is_seen_here_or_the_tests_of_gpus_run():
    assert len(gpu.gpu_names()) == torch.cuda.device_count()


def test_gpus_are_named_by_a_process_from_which_none_is_hidden(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "hidden")
    code = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES', 'A'))"
    monkeypatch.setattr(gpu, "NAME_GPUS", code)
    assert gpu.gpu_names() == ["A"]
    assert gpu.gpu_names(all_there_are=False) == ["hidden"]
    monkeypatch.setattr(gpu, "NAME_GPUS", "import nothing_of_this_name")
    assert gpu.gpu_names() == []


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (None, False),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
    ],
)
def test_a_process_is_broken_if_its_gpu_answers_no_more(monkeypatch, error, broken):
    def synchronize():
        if error is not None:
            raise error

    assert not gpu.is_broken()  # it has used none
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert gpu.is_broken() == broken
