"""Trials side by side: images a second of one, two and four processes on two cores.

Every process trains plain-44 on 8x8 images with a batch of 64, ours by `run_epoch`, the
textbook by its step; all wait until they are told to begin, and train for the same
seconds. One, two and four take turns. Once in an environment without wishes, once in
one that asks for eight threads everywhere.

Images a second say what a user gets, if nobody else computes on the two cores. Images a
second of CPU time hold beside others, too: threads that wait for each other burn it.
"""

import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.rows import ratio_row, say

ROOT = Path(__file__).parents[2]
DEPTH, BATCH, IMAGES = 44, 64, 256
MOST = 4
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
ENVIRONMENTS = {
    "nothing set": {},
    "8 threads set": dict.fromkeys(THREADS, "8"),
}
TARGETS = {2: ">= 1.9", MOST: ">= 1"}


def train_ours():
    """A function that trains, and says how many images."""
    from orthotune.config.trial import TrialConfig
    from orthotune.training.loop import Trial

    fields = {
        "model.depth": DEPTH,
        "data.name": "synthetic",
        "data.batch_size": BATCH,
        "data.num_train": IMAGES,
        "training.num_epochs": 100_000,
    }
    trial = Trial(TrialConfig.from_dict(fields))

    def epoch():
        trial.run_epoch()
        return IMAGES

    return epoch


def train_textbook():
    """The same of the textbook's step, which leaves threads to torch."""
    import torch

    from tests.benchmarks.textbook import TextbookStep

    step = TextbookStep(DEPTH, 3)
    images, targets = torch.randn(BATCH, 3, 8, 8), torch.randint(0, 10, (BATCH,))

    def one():
        step(images, targets)
        return BATCH

    return one


def work(kind):
    """A process that trains for as many seconds as each line of its input says."""
    train = {"ours": train_ours, "textbook": train_textbook}[kind]()
    train()
    print("ready", flush=True)
    for line in sys.stdin:
        images, start, cpu = 0, time.monotonic(), time.process_time()
        while (taken := time.monotonic() - start) < float(line):
            images += train()
        print(images / taken, images / (time.process_time() - cpu), flush=True)


@contextmanager
def workers(kind, wishes):
    """Processes that wait, on the same two cores."""
    clean = {k: v for k, v in os.environ.items() if k not in THREADS}
    cores = sorted(os.sched_getaffinity(0))[:2]
    started = []
    try:
        for _ in range(MOST):
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.together", kind],
                cwd=ROOT,
                env={**clean, **wishes},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            started.append(worker)
            os.sched_setaffinity(worker.pid, cores)
            assert worker.stdout.readline() == "ready\n"
        yield started
    finally:
        for worker in started:
            worker.kill()
            worker.communicate()


def speed(some, seconds):
    """Images a second of some workers at once, and of the CPU time of each."""
    for worker in some:
        worker.stdin.write(f"{seconds}\n")
        worker.stdin.flush()
    lines = [worker.stdout.readline().split() for worker in some]
    total = sum(float(line[0]) for line in lines)
    return total, statistics.fmean(float(line[1]) for line in lines)


def speeds(kind, wishes, turns, seconds):
    """What `speed` gives by how many train at once, a list of turns each."""
    found = {count: [] for count in (1, 2, MOST)}
    with workers(kind, wishes) as started:
        for _ in range(turns):
            for count, list_ in found.items():
                list_.append(speed(started[:count], seconds))
    return found


def compared(name, above, below, which=0, **more):
    """A row of images a second (`which` 0), or a second of CPU time (1)."""
    above, below = [pair[which] for pair in above], [pair[which] for pair in below]
    return ratio_row(name, above, below, ours="above", unit="images/s", **more)


def rows_of(kind, name, by):
    """What a second process brings, and what a third and fourth cost."""
    for count, fewer in ((2, 1), (MOST, 2)):
        target = {"target": TARGETS[count]} if kind == "ours" else {}
        measure = f"{count} at once against {fewer}, {kind}, {name}"
        yield compared(measure, by[count], by[fewer], **target)
        yield compared(f"{measure}, a second of CPU", by[count], by[fewer], 1)


def measures(*, quick=False):
    turns, seconds = (1, 0.5) if quick else (7, 2.0)
    rows = []
    for name, wishes in ENVIRONMENTS.items():
        found = {}
        for kind in ("ours", "textbook"):
            say(f"  {kind}, {name}")
            found[kind] = speeds(kind, wishes, turns, seconds)
            rows += rows_of(kind, name, found[kind])
        for count in (2, MOST):  # of one, the textbook has both cores
            mine, theirs = found["ours"][count], found["textbook"][count]
            measure = f"{count} at once, {name}: ours, which evaluates too, / textbook"
            rows.append(compared(measure, mine, theirs))
    return rows


if __name__ == "__main__":
    work(sys.argv[1])
