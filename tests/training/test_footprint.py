"""What a trial takes of a GPU: the shapes, and the sums; the GPU is made up."""

from types import SimpleNamespace

import pytest
import torch

from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.errors import GpuBusyError
from orthotune.training import footprint
from orthotune.training.footprint import SHAPE_FIELDS, measure, shape_of

OTHER = {
    "model.family": "residual",
    "model.depth": 14,
    "model.widths": [4, 8, 8],
    "data.name": "synthetic",
    "data.batch_size": 32,
    "data.num_micro_batches": 2,
    "data.augment": True,
    "training.precision": "bf16",
    "training.compile": True,
    "training.batch_norm": "running",
    "regularizer.kind": "l2",
    "optimizer.kind": "adamw",
    "modulation.enabled": False,
}


def test_every_field_of_the_shape_changes_it_and_no_other_does():
    assert set(OTHER) == set(SHAPE_FIELDS)
    # Modulation and shortcuts exclude each other.
    base = {"modulation.enabled": False}
    shapes = [shape_of(TrialConfig.from_dict({**base, n: v})) for n, v in OTHER.items()]
    shapes.append(shape_of(TrialConfig()))
    assert len(set(shapes)) == len(OTHER) + 1
    numbers = {"optimizer.lr": 1.0, "seed": 3, "regularizer.coeff": 0.5}
    assert numbers.keys() <= FIELD_RULES.keys()
    assert shape_of(TrialConfig.from_dict(numbers)) == shape_of(TrialConfig())


def test_how_much_is_held_and_how_large_is_part_of_the_shape():
    folder = {"data.name": "image_folder"}
    others = {"data.memory_share": 0.5}, {"data.image_folder.size": 32}
    shapes = {
        shape_of(TrialConfig.from_dict({**folder, **other})) for other in ({}, *others)
    }
    assert len(shapes) == 3
    ahead = TrialConfig.from_dict({**folder, "data.workers": 7})
    assert shape_of(ahead) in shapes
    idle = TrialConfig.from_dict({"data.memory_share": 0.5})
    assert shape_of(idle) == shape_of(TrialConfig())


class FakeGpu:
    """Counts what a trial on the CPU would have taken, by a script."""

    def __init__(self, monkeypatch, *, before=2_000, context=500, reserved=3_000):
        self.used, self.listed = before, "GPU:0\nno processes are running"
        answers = {
            "device_memory_used": lambda _number: self.used,
            "list_gpu_processes": lambda _number: self.listed,
            "get_device_properties": lambda _n: SimpleNamespace(total_memory=80_000),
            "memory_reserved": lambda: reserved,
            "max_memory_reserved": lambda: reserved + 700,
            "mem_get_info": lambda: (76_000, 80_000),
            "utilization": lambda: 40,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer)
        monkeypatch.setattr(footprint, "MEASURED_S", 0.3)
        original = footprint.Trial

        def trial(config, device):
            assert device == "cuda"
            self.config = config
            self.used = before + context + reserved
            return original(config, "cpu")

        monkeypatch.setattr(footprint, "Trial", trial)


FIELDS = {
    "model.depth": 8,
    "model.widths": [4, 4, 4],
    "data.name": "synthetic",
    "optimizer.lr": 100.0,
    "changes.epochs": [1],
    "changes.lr": [50.0],
    "training.num_epochs": 2,
}


def test_a_footprint_is_the_peak_the_context_and_the_utilization(monkeypatch):
    fake = FakeGpu(monkeypatch)
    found = measure(FIELDS)
    assert found.tensor_bytes == 3_700
    assert found.context_bytes == 500  # what others had before is not its own
    assert found.total_bytes == 80_000
    assert found.busy == pytest.approx(0.4)
    assert shape_of(fake.config) == shape_of(TrialConfig.from_dict(FIELDS))
    assert fake.config.data.num_train == 1400  # all: recalibration would take as many


def test_a_part_of_a_gpu_of_which_the_driver_tells_nothing_is_measured(monkeypatch):
    FakeGpu(monkeypatch)

    def untold(_number):
        raise RuntimeError("device 0 is not visible")

    monkeypatch.setattr(torch.cuda, "device_memory_used", untold)
    found = measure(FIELDS)
    assert (found.tensor_bytes, found.context_bytes) == (3_700, 1_000)


def test_beside_others_nothing_is_measured(monkeypatch):
    fake = FakeGpu(monkeypatch)
    fake.listed = "process 99999999 uses 3000.0 MB GPU memory"
    with pytest.raises(GpuBusyError, match=r"must be free to measure .* 99999999 has"):
        measure(FIELDS, wait_s=-1.0)


def test_lack_of_memory_is_an_answer(monkeypatch):
    FakeGpu(monkeypatch)

    def full(config, device):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(footprint, "Trial", full)
    found = measure(FIELDS)
    assert (found.tensor_bytes, found.total_bytes, found.busy) == (0, 80_000, 1.0)


def test_another_error_is_none(monkeypatch):
    FakeGpu(monkeypatch)

    def broken(config, device):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(footprint, "Trial", broken)
    with pytest.raises(RuntimeError, match="no kernel image"):
        measure(FIELDS)


def test_a_driver_that_does_not_tell_utilization_leaves_a_gpu_to_one(monkeypatch):
    FakeGpu(monkeypatch)

    def unsupported():
        raise RuntimeError("Not Supported")

    monkeypatch.setattr(torch.cuda, "utilization", unsupported)
    assert measure(FIELDS).busy == 1.0
