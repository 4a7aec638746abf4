"""Whether who trains waits for images that are read from JPEG files meanwhile.

On two cores: one trains, one reads. What reading in between would take is beside it.
The files are made of smooth random patterns, which JPEG compresses like photographs.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from orthotune.config.trial import TrialConfig
from orthotune.data.splits import StreamedSplit
from orthotune.training.loop import Trial
from tests.benchmarks.rows import quartiles, row, say

BATCH, BATCHES, EPOCHS = 64, 6, 3
SIZES = [(64, 64), (500, 375)]


def write_jpegs(root, size, num):
    """Images of a size in two class folders, to train with and as few to look at."""
    rng = np.random.default_rng(0)
    for part, images in (("train", num), ("val", 4), ("test", 4)):
        for number in range(images):
            folder = root / part / f"class-{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            small = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
            image.save(folder / f"{number}.jpg", quality=90)


class Waiting:
    """Counts the seconds in which batches are waited for."""

    def __init__(self):
        self.seconds = 0.0
        self._batches = StreamedSplit.batches

    def __call__(self, split, order):
        batches = self._batches(split, order)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def shares(root, workers, batches, epochs):
    """Seconds of waiting and of all, epoch by epoch."""
    fields = {
        "model.depth": 20,
        "modulation.enabled": True,
        "data.name": "image_folder",
        "data.root": str(root),
        "data.image_folder.size": 64,
        "data.batch_size": BATCH,
        "data.memory_share": 0,
        "data.workers": workers,
    }
    trial = Trial(TrialConfig.from_dict(fields))
    waiting, found = Waiting(), []
    StreamedSplit.batches = lambda split, order: waiting(split, order)
    try:
        for epoch in range(1 + epochs):
            waiting.seconds, start = 0.0, time.perf_counter()
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            trial._train()
            torch.set_num_threads(threads)
            if epoch:  # the first starts the processes
                found.append((waiting.seconds, time.perf_counter() - start))
    finally:
        StreamedSplit.batches = waiting._batches
    return found


def measures(*, quick=False):
    """A row for each size of file, and for each way to read it."""
    batches, epochs = (2, 1) if quick else (BATCHES, EPOCHS)
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            write_jpegs(Path(folder), size, BATCH * batches)
            for workers in (1, 0):
                say(f"  {size[0]}x{size[1]}, {workers} workers")
                found = shares(Path(folder), workers, batches, epochs)
                ratios = [waited / whole for waited, whole in found]
                how = "ahead by one process" if workers else "in between"
                yield row(
                    f"share of training that waits, {size[0]}x{size[1]} JPEG read "
                    f"{how}, plain-20 at 64x64",
                    statistics.median(waited for waited, _ in found),
                    statistics.median(whole for _, whole in found),
                    statistics.median(ratios),
                    len(ratios),
                    spread=quartiles(ratios),
                    **({"target": "<= 0.05"} if workers else {}),
                )
