"""python -m tests.benchmarks.step: the training step, as ratios within one run.

Both sides take turns, so that a slow spell of the machine hits both; medians. Prints a
table and one JSON line a measure. One thread, as a trial has.
"""

import json
import statistics
import sys
import time

import torch

from orthotune.training.config import TrialConfig
from orthotune.training.data import Split
from orthotune.training.loop import Trial
from tests.benchmarks.textbook import TextbookStep

OFF = {
    "regularizer.kind": "l2",
    "regularizer.coeff": 1e-4,
    "modulation.enabled": False,
}
SETTINGS = [  # name, depth, size, batch, turns
    ("plain-44 at 8x8, batch 64", 44, 8, 64, 40),
    ("plain-110 at 8x8, batch 64", 110, 8, 64, 20),
    ("plain-44 at 32x32, batch 128", 44, 32, 128, 6),
]


def our_step(depth, **fields):
    config = {"model.depth": depth, "data.name": "synthetic", **fields}
    trial = Trial(TrialConfig.from_dict(config))
    trial.model.train()

    def step(images, targets):
        images = images.contiguous(memory_format=torch.channels_last)
        trial._update(Split(images=images, targets=targets), 0.5, last=False)

    return step


def take_turns(steps, images, targets, turns):
    """Seconds of every step, by name: all of them once a turn."""
    seconds = {name: [] for name in steps}
    for turn in range(turns + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step(images, targets)
            if turn >= 2:  # the first turns pay for what is done once
                seconds[name].append(time.perf_counter() - start)
    return seconds


def measure(name, depth, size, batch, turns):
    images = torch.randn(batch, 3, size, size)
    targets = torch.randint(0, 10, (batch,))
    steps = {
        "ours": our_step(depth),
        "ours bf16": our_step(depth, **{"training.precision": "bf16"}),
        "ours, L2 and neither": our_step(depth, **OFF),
        "textbook": TextbookStep(depth, 3, method=True),
        "textbook, L2 and neither": TextbookStep(depth, 3, method=False),
    }
    times = take_turns(steps, images, targets, turns)
    pairs = [
        ("speed against the textbook", "textbook", "ours"),
        ("speed against the textbook, bf16", "textbook", "ours bf16"),
        ("cost of the method, ours", "ours", "ours, L2 and neither"),
        ("cost of the method, textbook", "textbook", "textbook, L2 and neither"),
    ]
    for label, above, below in pairs:
        ratios = [a / b for a, b in zip(times[above], times[below], strict=True)]
        yield {
            "measure": f"{label}, {name}",
            "ours": statistics.median(times[below if "speed" in label else above]),
            "reference": statistics.median(times[above if "speed" in label else below]),
            "ratio": round(statistics.median(ratios), 3),
            "spread": [round(q, 3) for q in statistics.quantiles(ratios, n=4)],
            "n": turns,
        }


def main():
    torch.set_num_threads(1)
    rows = []
    for setting in SETTINGS:
        print(f"measuring {setting[0]} ...", file=sys.stderr)
        rows += measure(*setting)
    for row in rows:
        print(f"{row['ratio']:6.2f}  {row['measure']}")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
