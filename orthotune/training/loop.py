"""One trial as an object: train an epoch, evaluate, report a plain dict of floats.

Nothing is logged here: whoever calls `run_epoch` reports what it returns.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthotune.config.metrics import METRICS, reportable
from orthotune.config.trial import TrialConfig
from orthotune.data.augmentation import augment
from orthotune.data.dataset import Dataset
from orthotune.data.datasets import load_dataset
from orthotune.data.image_format import ImageFormat
from orthotune.data.splits import AnySplit, Split, fitting
from orthotune.nn.batchnorm import recalibrate_batch_norm
from orthotune.nn.cost import costs
from orthotune.nn.diagnostics import (
    backward_error_moments,
    backward_error_ratio,
    gram_deviation_norms,
    singular_values,
)
from orthotune.training.allocator import keep_freed_memory
from orthotune.training.captured import replayed
from orthotune.training.checkpoint import check_same
from orthotune.training.networks import build_network
from orthotune.training.streams import Streams, seeded
from orthotune.training.update import Update

EVALUATION_BATCH = 1000
RECALIBRATION_IMAGES = 4096
"""Of 32x32 pixels; of larger ones fewer (`fitting`)."""

PROFILE_IMAGES = 128
NUM_QUANTILES = 33

IMAGES = "images"
"""Key of a state, for who uses the network without the data: their format."""


class Trial:
    """The training of one configuration, epoch by epoch.

    On a CPU every number is computed by one thread: the metrics of a configuration (but
    for the two that measure time) are the same to the bit in every process, as long as
    the CPU is of one kind.

    Args:
        config: What to train.
        device: Where: `"cpu"`, `"cuda"`, ...

    Attributes:
        model: The network, in channels-last memory.
        epoch: Epochs finished.
        diverged: Whether loss or weights have ceased to be finite.
        metrics: Those of the last epoch that was run here; empty before the first.
        on_update: Called after every update with the share of the epoch that is done.

    Raises:
        DataError: If the data set cannot be loaded.

    Example:
        >>> config = TrialConfig.from_dict(
        ...     {"model.depth": 8, "training.num_epochs": 1, "data.num_train": 128}
        ... )
        >>> trial = Trial(config)
        >>> metrics = trial.run_epoch()
        >>> trial.finished, set(metrics) == set(METRICS)
        (True, True)
    """

    def __init__(self, config: TrialConfig, device: torch.device | str = "cpu") -> None:
        self.config = config
        self.device = torch.device(device)
        self.epoch = 0
        self.diverged = False
        self.metrics: dict[str, float] = {}
        self.on_update: Callable[[float], object] = lambda _share: None
        if self.device.type == "cpu":
            keep_freed_memory()
        with _deterministic(self.device):
            self._dataset = load_dataset(config.data, self.device)
            self._streams = Streams(config.seed)
            self._images = ImageFormat.of(self._dataset)
            self.model = build_network(config, self._dataset.shape, self._streams)
            self.model.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            example = self._dataset.normalize(self._dataset.train.first(2).images)
            self._costs = costs(self.model, example)
            self._update = Update(config, self.model, example)
            self._step = replayed(self._update)

    @property
    def dataset(self) -> Dataset:
        """The data it is trained and validated with; never write to them."""
        return self._dataset

    @property
    def computed_by(self) -> str:
        """A GPU's name, or a CPU's instructions: on another kind last bits differ."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"CPU {torch.backends.cpu.get_cpu_capability()}"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train: full budget, or diverged."""
        return self.diverged or self.epoch >= self.config.training.num_epochs

    @property
    def updates_per_epoch(self) -> int:
        """Optimizer updates an epoch; an incomplete last batch is left out."""
        return len(self._dataset.train) // self.config.data.batch_size

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch and evaluate.

        A non-finite loss or weight ends the trial: the metrics then are
        `diverged = 1`, `val_error = 1` and finite worst cases, and `finished` is true.

        Returns:
            The `METRICS`, all finite.

        Raises:
            RuntimeError: If the trial is finished.
        """
        if self.finished:
            raise RuntimeError(
                f"A trial must not run past its end, but epoch {self.epoch} of "
                f"{self.config.training.num_epochs} is done. Look at `finished`."
            )
        start = time.perf_counter()
        seed = f"{self.config.seed}/epoch {self.epoch}"
        with _deterministic(self.device), seeded(seed, self.device):
            metrics = self._train()
            metrics |= self._measure()
        self.epoch += 1
        decisive = ("train_loss", "val_loss", "parameter_norm")
        self.diverged = not all(math.isfinite(metrics[name]) for name in decisive)
        if self.finished and self.config.training.evaluate_test:
            with _deterministic(self.device):
                metrics["test_error"] = self._evaluate(self._dataset.test)[1]
        metrics["diverged"] = float(self.diverged)
        metrics["epoch_time_s"] = time.perf_counter() - start
        self.metrics = {
            name: reportable(name, metrics[name], self.diverged)
            for name in (*METRICS, "test_error")
            if name in metrics
        }
        return dict(self.metrics)

    def measure(self) -> dict[str, float]:
        """Validation, and the state of the weights, as they are now.

        Returns:
            Those of the `METRICS` that need no training.
        """
        with _deterministic(self.device):
            metrics = self._measure()
        return {k: reportable(k, v, self.diverged) for k, v in metrics.items()}

    def rehearse(self) -> None:
        """Train one batch and evaluate another; the trial is of no use afterwards."""
        with _deterministic(self.device), seeded(str(self.config.seed), self.device):
            self.model.train()
            (settings, *_) = self._update.settings(0, 1).to(self.device)
            self._update(next(iter(self._batches())), settings, probe=True)
            gram_deviation_norms(self.model)
            self.model.eval()
            few = self._dataset.val.first(2)
            with torch.no_grad(), self._update.precision():
                self.model(self._dataset.normalize(few.images))

    def profile(self) -> dict[str, list[float]]:
        """The network layer by layer, as it is now; training is not touched.

        Measured on a copy, in training mode and float32, on the first
        `PROFILE_IMAGES` training images.

        Returns:
            `backward_error_moment` of every convolution, unmodulated; `gram_deviation`
            of every convolution and linear layer (`gram_deviation_norms`); and
            `singular_value`, `NUM_QUANTILES` quantiles (0 to 1 in equal steps) of those
            of all filter banks. Four significant digits. Empty if one of them is not
            finite.

        Example:
            >>> fields = {"model.depth": 8, "data.num_train": 64, "data.batch_size": 32}
            >>> profile = Trial(TrialConfig.from_dict(fields)).profile()
            >>> {name: len(values) for name, values in profile.items()}
            {'backward_error_moment': 7, 'gram_deviation': 8, 'singular_value': 33}
        """
        if not math.isfinite(_norm(self.model)):
            return {}
        with _deterministic(self.device):
            copy = build_network(self.config, self._dataset.shape, Streams(0))
            copy.load_state_dict(self.model.state_dict())
            copy.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            batch = self._dataset.train.first(PROFILE_IMAGES)
            images = self._dataset.normalize(batch.images)
            moments = backward_error_moments(
                copy, lambda: F.cross_entropy(copy(images), batch.targets)
            )
            quantiles = torch.linspace(0, 1, NUM_QUANTILES, device=self.device)
            profile = {
                "backward_error_moment": list(moments.values()),
                "gram_deviation": gram_deviation_norms(copy).tolist(),
                "singular_value": singular_values(copy).quantile(quantiles).tolist(),
            }
        if not all(math.isfinite(v) for values in profile.values() for v in values):
            return {}
        return {
            name: [float(f"{value:.4g}") for value in values]
            for name, values in profile.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything the rest of the training depends on, as tensors and plain values.

        Schedules and modulation have no state of their own: the first is a function of
        the epoch, the second of the current backward pass.
        """
        return {
            "config": self.config.to_dict(),
            "epoch": self.epoch,
            "diverged": self.diverged,
            "model": self.model.state_dict(),
            "optimizer": self._update.state_dict(),
            "regularizer": self._update.penalty_state(),
            "streams": self._streams.state_dict(),
            "sources": self.config.sources(),
            IMAGES: self._images.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state as if training had never stopped.

        Raises:
            CheckpointError: If the state is of a configuration with another result.
        """
        check_same(self.config, state)
        self.epoch = state["epoch"]
        self.diverged = state["diverged"]
        self.model.load_state_dict(state["model"])
        self._update.load_state_dict(state["optimizer"])
        self._update.load_penalty_state(state.get("regularizer"))
        self._streams.load_state_dict(state["streams"])
        self._step = replayed(self._update)  # the momenta are others: their graph, too

    def _train(self) -> dict[str, float]:
        """One epoch of updates, and what is known from them."""
        start = time.perf_counter()
        self.model.train()
        updates = self.updates_per_epoch
        settings = self._update.settings(self.epoch, updates)
        total = torch.zeros((), device=self.device)
        moments = None
        for index, (batch, row) in enumerate(
            zip(self._batches(), settings.to(self.device), strict=True)
        ):
            loss, moments = self._step(batch, row, probe=index == updates - 1)
            total += loss
            self.on_update((index + 1) / updates)
        train_loss = total.item() / updates  # waits for the device: before the clock
        images = updates * self.config.data.batch_size
        metrics = {
            "train_loss": train_loss,
            "lr": settings[-1, 0].item(),
            "images_per_s": images / (time.perf_counter() - start),
        }
        if moments is not None:
            metrics["backward_error_ratio"] = backward_error_ratio(moments).item()
        return metrics

    def _measure(self) -> dict[str, float]:
        """Validation and the state of the weights after an epoch."""
        norms = gram_deviation_norms(self.model)
        val_loss, val_error = self._evaluate(self._dataset.val)
        return {
            "val_loss": val_loss,
            "val_error": val_error,
            "orthonormality_penalty": norms.square().sum().item(),
            "gram_deviation_max": norms.max().item(),
            "parameter_norm": _norm(self.model),
            **self._costs,
        }

    def _batches(self) -> Iterator[Split]:
        """The epoch's batches, normalized; all that is drawn is drawn here."""
        size, updates = self.config.data.batch_size, self.updates_per_epoch
        train = self._dataset.train
        order = torch.randperm(len(train), generator=self._streams["order"])
        order = order[: updates * size].view(updates, size)
        draws = None
        if self.config.data.augment:
            generator = self._streams["augmentation"]
            draws = torch.rand(updates, size, 3, generator=generator).to(self.device)
        for index, batch in enumerate(train.batches(order)):
            images = self._dataset.normalize(batch.images)
            if draws is not None:
                images = augment(images, draws[index], self._dataset.flips)
            yield Split(images=images, targets=batch.targets)

    @functools.cached_property
    def _recalibration_images(self) -> Tensor:
        train = self._dataset.train
        return train.first(fitting(RECALIBRATION_IMAGES, train.shape)).images

    @torch.no_grad()
    def _evaluate(self, split: AnySplit) -> tuple[float, float]:
        """Mean cross-entropy and error of a split, in evaluation mode."""
        if self.config.training.batch_norm == "recalibrated":
            images = self._dataset.normalize(self._recalibration_images)
            with self._update.precision():
                recalibrate_batch_norm(self.model, images)
        self.model.eval()
        loss = torch.zeros((), device=self.device)
        wrong = torch.zeros((), device=self.device)
        for batch in split.in_order(fitting(EVALUATION_BATCH, split.shape)):
            with self._update.precision():
                logits = self.model(self._dataset.normalize(batch.images)).float()
            loss += F.cross_entropy(logits, batch.targets, reduction="sum")
            wrong += (logits.argmax(1) != batch.targets).sum()
        return loss.item() / len(split), wrong.item() / len(split)


def _norm(model: nn.Module) -> float:
    norms = torch._foreach_norm(list(model.parameters()))
    return torch.stack(norms).norm().item()


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """One thread on a CPU, deterministic convolutions on a GPU; put back afterwards.

    Their float32 is that of IEEE. TF32, which torch takes for it there, has 10 bits of
    mantissa: through a hundred layers that is another experiment.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(
            enabled=True,
            benchmark=False,
            deterministic=True,
            allow_tf32=False,
            fp32_precision="ieee",
        ):
            yield
    finally:
        torch.set_num_threads(threads)
