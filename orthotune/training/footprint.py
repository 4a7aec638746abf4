"""Peak memory and time of a trial on a GPU.

Configurations that differ in numbers only (learning rate, coefficient, seed, ...) run
the same program: they are of one shape, and take the same.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from orthotune.config.trial import TrialConfig
from orthotune.data.datasets import load_dataset
from orthotune.training import gpu
from orthotune.training.loop import RECALIBRATION_IMAGES, Trial

MEASURED_S = 3.0
"""Of epochs in which utilization is sampled; the driver renews it about each second."""

FEWEST_BATCHES = 10

SHAPE_FIELDS = (
    "model.family",
    "model.depth",
    "model.widths",
    "data.name",
    "data.batch_size",
    "data.num_micro_batches",
    "data.augment",
    "training.precision",
    "training.compile",
    "training.batch_norm",
    "regularizer.kind",
    "optimizer.kind",
    "modulation.enabled",
)
"""The fields that decide what a trial takes."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What one trial takes of one kind of GPU.

    Args:
        tensor_bytes: Memory reserved for tensors, at the peak of training and
            evaluation; the data set, which stays on the GPU, is among them. 0 if it has
            not that much.
        context_bytes: What a process takes beside them.
        total_bytes: Memory of the GPU.
        busy: Share of the time in which the GPU computes for it, in [0, 1].
    """

    tensor_bytes: int
    context_bytes: int
    total_bytes: int
    busy: float


def shape_of(config: TrialConfig) -> str:
    """The shape of a configuration, in words that tell it from every other.

    Example:
        >>> shape_of(TrialConfig.from_dict({"model.depth": 44}))
        'plain-44 16-32-64, digits 64, fp32, recalibrated, orthonormal, modulated'
        >>> fields = {"modulation.enabled": False, "data.num_micro_batches": 2}
        >>> shape_of(TrialConfig.from_dict({**fields, "training.compile": True}))
        'plain-44 16-32-64, digits 64 in 2, fp32, recalibrated, orthonormal, compiled'
    """
    model, data, training = config.model, config.data, config.training
    parts = f" in {data.num_micro_batches}" if data.num_micro_batches > 1 else ""
    stacked = f"{model.family}-{model.depth} {'-'.join(map(str, model.widths))}"
    words = [
        stacked if "model.depth" in config.in_effect() else model.family,
        f"{data.name} {data.batch_size}{parts}",
        training.precision,
        training.batch_norm,
        config.regularizer.kind,
        *([config.optimizer.kind] if config.optimizer.kind != "sgd" else []),
        *_registered(config),
    ]
    switches = {
        "modulated": config.modulation.enabled,
        "augmented": data.augment,
        "compiled": training.compile,
    }
    return ", ".join([*words, *(word for word, on in switches.items() if on)])


def _registered(config: TrialConfig) -> Iterator[str]:
    """The settings of what is registered with its own, and the sources of others."""
    read = config.in_effect()
    for name, chosen in config.ingredients().items():
        own = name.rpartition(".")[0] + f".{chosen.name}."
        if name in SHAPE_FIELDS:
            yield from (f"{n}={v}" for n, v in read.items() if n.startswith(own))
    if "data.memory_share" in read:  # held on the GPU, or not
        yield f"data.memory_share={config.data.memory_share:g}"
    yield from config.sources().values()


def measure(fields: Mapping[str, Any], wait_s: float = gpu.WAIT_S) -> Footprint:
    """Train and evaluate for some seconds on the GPU, and see what that takes.

    In a process of its own, which has not touched the GPU: what it takes by being there
    is part of the answer.

    Args:
        fields: A configuration of the shape; its learning rate is not used.
        wait_s: How long others may stay on the GPU.

    Raises:
        ConfigError: If a field may not hold its value.
        DataError: As `load_dataset`.
        GpuBusyError: If other processes compute there, too.
    """
    gpu.wait_to_be_alone(wait_s)
    try:
        return _measure(TrialConfig.from_dict(fields))
    except Exception as err:  # of which lack of memory is an answer
        if not gpu.is_out_of_memory(err):
            raise
    total = torch.cuda.get_device_properties(0).total_memory
    return Footprint(tensor_bytes=0, context_bytes=0, total_bytes=total, busy=1.0)


def _measure(config: TrialConfig) -> Footprint:
    before = _used()
    samples: list[float] = []
    trial = Trial(_short(config), "cuda")
    trial.run_epoch()  # with what is done once: kernels are loaded, or compiled
    with gpu.busy_share(samples):
        end = time.monotonic() + MEASURED_S
        while time.monotonic() < end and not trial.finished:
            trial.run_epoch()
    free, total = torch.cuda.mem_get_info()
    after = _used()
    if before is None or after is None:  # then alone there, as on a part of a GPU
        before, after = 0, total - free
    beside = after - before - torch.cuda.memory_reserved()
    return Footprint(
        tensor_bytes=torch.cuda.max_memory_reserved(),
        context_bytes=max(0, beside),
        total_bytes=total,
        busy=sum(samples) / len(samples) if samples else 1.0,
    )


def _used() -> int | None:
    """Bytes that are taken, by the driver: no context is made; None if it tells not."""
    try:
        return torch.cuda.device_memory_used(0)
    except Exception:  # NVML's, without a common base here
        return None


def _short(config: TrialConfig) -> TrialConfig:
    """The same shape in epochs of a few batches, which do not diverge."""
    whole = len(load_dataset(config.data).train)
    images = max(FEWEST_BATCHES * config.data.batch_size, RECALIBRATION_IMAGES)
    short = {
        "data.num_train": min(whole, images),
        "training.num_epochs": 100_000,
        "training.evaluate_test": False,
        "optimizer.lr": 1e-9,
        "changes.epochs": [],
    }
    changes = {name: [] for name in ("lr", "coeff", "threshold", "strength")}
    short |= {f"changes.{name}": values for name, values in changes.items()}
    return TrialConfig.from_dict({**config.to_dict(), **short})
