"""Updates on a GPU, replayed as one CUDA graph instead of kernel by kernel.

An update of a deep network is hundreds of small kernels, and Python takes longer to
launch them than the GPU to run them. A graph launches all of them at once. It reads and
writes the same memory at every replay: batch and settings are copied to where it looks
for them, and what it gives is there until the next one.
"""

import torch
from torch import Tensor

from orthotune.console import note
from orthotune.data.splits import Split
from orthotune.training.gpu import is_broken, is_out_of_memory
from orthotune.training.update import Update

WARM_UP = 3
"""Updates before the capture: momenta are made, kernels are loaded and chosen."""

TOLERANCE = 1e-3
"""How far a replayed update may be from one that is run kernel by kernel, as a part of
the change that it makes; what is captured wrongly is off by about 1."""


def replayed(update: Update) -> "Update | CapturedUpdate":
    """What runs the updates of a trial: a graph on a GPU, or the update itself.

    In fp16 an update waits to see whether it fits, which no graph can; nor is one
    captured where `training.capture` is never.
    """
    training = update.config.training
    wanted = training.capture == "auto" and training.precision != "fp16"
    return CapturedUpdate(update) if wanted and update.device.type == "cuda" else update


class CapturedUpdate:
    """Runs the updates of a trial: the first few as they are, then as a CUDA graph.

    Where an update cannot be captured, or a replay does not do what it does, it says so
    in one sentence and goes on kernel by kernel: what is trained is the same.

    Args:
        update: The update, of a model on a GPU.
    """

    def __init__(self, update: Update) -> None:
        self._update = update
        self._stream = torch.cuda.Stream(update.device)
        self._seen = 0
        self._replay: _Replay | None = None

    def __call__(
        self, batch: Split, settings: Tensor, *, probe: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Update the model once; arguments and results as those of `Update`.

        What is returned of a replayed update lies where the next one writes.
        """
        if self._seen == WARM_UP:
            self._begin(batch, settings)
        self._seen += 1
        if self._replay is None or (probe and self._update.probes_apart):
            return self._aside(batch, settings, probe=probe)
        return self._replay(batch, settings)

    def _aside(
        self, batch: Split, settings: Tensor, *, probe: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """An update as it is, on the stream of the graph, as torch asks for."""
        here = torch.cuda.current_stream(self._update.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            results = self._update(batch, settings, probe=probe)
        here.wait_stream(self._stream)
        return results

    def _begin(self, batch: Split, settings: Tensor) -> None:
        """Capture, and compare a replay with an update from the same state."""
        try:
            self._update.forget()  # its gradients are to lie in the graph's memory
            self._replay = _Replay(self._update, batch, settings, self._stream)
            off = self._difference(self._replay, batch, settings)
        except RuntimeError as err:
            if is_out_of_memory(err) or is_broken():
                raise
            self._give_up(f"it cannot be captured: {str(err).splitlines()[0]}")
            return
        if not off <= TOLERANCE:
            self._give_up(f"a replay is {off:.1e} of its change off")

    def _difference(self, replay: "_Replay", batch: Split, settings: Tensor) -> float:
        """By how much a replay misses an update; the state is as before then."""
        before = self._update.snapshot()
        self._aside(batch, settings)
        expected = self._update.weights()
        self._update.restore(before)
        start = self._update.weights()
        replay(batch, settings)
        replayed = self._update.weights()
        self._update.restore(before)
        change = torch.linalg.vector_norm(expected - start)
        off = torch.linalg.vector_norm(replayed - expected)
        return 0.0 if not change and not off else (off / change).item()

    def _give_up(self, why: str) -> None:
        self._replay = None
        self._update.forget()
        note(f"training.capture: updates run kernel by kernel, because {why}.")


class _Replay:
    """An update as a graph, and the memory that it reads and writes."""

    def __init__(
        self,
        update: Update,
        batch: Split,
        settings: Tensor,
        stream: torch.cuda.Stream,
    ) -> None:
        self._images = batch.images.clone(memory_format=torch.preserve_format)
        self._targets = batch.targets.clone()
        self._settings = settings.clone()
        self._graph = torch.cuda.CUDAGraph()
        own = Split(images=self._images, targets=self._targets)
        with torch.cuda.graph(self._graph, stream=stream):
            self._results = update(own, self._settings)

    def __call__(self, batch: Split, settings: Tensor) -> tuple[Tensor, Tensor | None]:
        self._images.copy_(batch.images)
        self._targets.copy_(batch.targets)
        self._settings.copy_(settings)
        self._graph.replay()
        return self._results
