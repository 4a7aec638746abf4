"""Measures 1 and 2: training on one core, and what the method costs of it.

A turn is a few batches of a training epoch: fetching, normalizing, forward, backward,
both ingredients, SGD. The data are random bytes; the textbook reads them image by image
through torchvision's transforms, ours holds them as tensors. On a GPU where there is
one, with what torch.compile makes of it beside.
"""

import torch

from orthotune.config.trial import TrialConfig
from orthotune.data.dataset import Dataset, Split
from orthotune.training.loop import Trial
from tests.benchmarks.rows import ratio_row, say
from tests.benchmarks.textbook import TextbookStep, loader
from tests.benchmarks.turns import contenders, take_turns

OFF = {
    "regularizer.kind": "l2",
    "regularizer.coeff": 1e-4,
    "modulation.enabled": False,
}
BF16 = {"training.precision": "bf16"}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SETTINGS = [  # depth, size, batch, batches a turn, turns
    (44, 8, 64, 10, 20),
    (110, 8, 64, 5, 20),
    (44, 32, 128, 2, 8),
    (110, 32, 128, 1, 6),
]


def random_bytes(size, num):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (num, 3, size, size), generator=generator).byte()
    split = Split(images=images, targets=torch.arange(num) % 10)
    return Dataset(
        train=split,
        val=split,
        test=split,
        num_classes=10,
        mean=torch.full((3, 1, 1), 127.5),
        std=torch.full((3, 1, 1), 73.9),
        flips=False,
    )


def ours(depth, size, batch, batches, fields):
    """A function that trains so many batches with our loop."""
    config = {"model.depth": depth, "data.name": "synthetic", "data.batch_size": batch}
    fields = {**config, "data.num_train": batch, **fields}
    trial = Trial(TrialConfig.from_dict(fields), DEVICE)
    trial._dataset = random_bytes(size, batch * batches).to(trial.device)
    torch.set_num_threads(1)
    return trial._train


def textbook(depth, size, batch, batches, method):
    """A function that does it the textbook way."""
    torch.set_num_threads(1)
    options = {} if method else {"coeff": 0.0, "modulated": False, "weight_decay": 1e-4}
    step = TextbookStep(depth, 3, device=DEVICE, **options)
    data = random_bytes(size, batch * batches)
    scale = data.mean.flatten(), data.std.flatten()
    shuffled = loader(data.train.images, data.train.targets, *scale, batch=batch)

    def train():
        for images, targets in shuffled:
            step(images.to(DEVICE), targets.to(DEVICE))

    return train


def measure(depth, size, batch, batches, turns):
    name = f"plain-{depth} at {size}x{size}, batch {batch}"
    shape = {"depth": depth, "size": size, "batch": batch, "batches": batches}
    makers = {
        "ours": (ours, {**shape, "fields": {}}),
        "ours, L2": (ours, {**shape, "fields": OFF}),
        "ours bf16": (ours, {**shape, "fields": BF16}),
        "ours bf16, L2": (ours, {**shape, "fields": BF16 | OFF}),
        "textbook": (textbook, {**shape, "method": True}),
        "textbook, L2": (textbook, {**shape, "method": False}),
    }
    small = size == 8
    targets = {"ours": 2, "ours bf16": 2 if small else 3}
    if DEVICE == "cuda":
        fields = BF16 | {"training.compile": True}
        makers["ours bf16 compiled"] = (ours, {**shape, "fields": fields})
        targets["ours bf16 compiled"] = 3
    with contenders(makers) as ends:
        times = take_turns(ends, turns)
    images = batch * batches
    for mine, target in targets.items():
        yield ratio_row(
            f"speed, textbook / {mine}, {name}",
            times["textbook"],
            times[mine],
            ours="below",
            target=f">= {target}",
            images_per_s=round(images / min(times[mine]), 1),
        )
    for mine in ("ours", "ours bf16", "textbook"):
        goal = {"target": f"<= {1.10 if small else 1.03}"} if mine != "textbook" else {}
        yield ratio_row(
            f"cost of the method, {mine}, {name}",
            times[mine],
            times[f"{mine}, L2"],
            ours="above",
            **goal,
        )


def measures(*, quick=False):
    """The rows of measures 1 and 2."""
    rows = []
    for setting in [(8, 8, 64, 2, 2)] if quick else SETTINGS:
        say(f"  plain-{setting[0]} at {setting[1]}x{setting[1]}")
        rows += measure(*setting)
    return rows
