"""What only a GPU can show: `make gpu`, a table and JSON lines.

Correctness first (float64 on the CPU against the GPU, twice the same, captured against
kernel by kernel), then speed (milliseconds a step, kernels' own time, several trials on
one GPU). Nothing of it is asserted: what differs by more than it should is said.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from orthotune.config.trial import TrialConfig
from orthotune.console import say
from orthotune.data.splits import Split
from orthotune.nn.networks import PlainCNN
from orthotune.training.loop import Trial, _deterministic
from orthotune.training.update import Update
from tests.benchmarks.step import random_bytes
from tests.benchmarks.textbook import TextbookStep

BATCH, SIZE = 128, 32
UPDATES = 20
REPEATS = 5
PAPER_UPDATES = 64_000
HALF = {"training.precision": "bf16"}
EAGER = {"training.capture": "never"}
METHOD = {"modulation.enabled": True, "init.scheme": "orthonormal"}
PROCESSES = (1, 2, 4, 8, 16)
SHARED_S = 3.0


class Lines:
    """Results, one JSON object a line, written as they come."""

    def __init__(self, path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def add(self, what, **values):
        line = json.dumps({"what": what, **values})
        with self._path.open("a") as file:
            file.write(line + "\n")
        say(line)


def trial_of(depth, fields, updates=UPDATES, size=SIZE, batch=BATCH):
    """A trial on random images whose epoch is so many updates."""
    config = {
        "model.depth": depth,
        "data.name": "synthetic",
        "data.batch_size": batch,
        "data.num_train": batch,
        "training.num_epochs": 100_000,
        **METHOD,
        **fields,
    }
    trial = Trial(TrialConfig.from_dict(config), "cuda")
    trial._dataset = random_bytes(size, batch * updates).to(trial.device)
    return trial


def step_ms(trial, repeats=REPEATS):
    """Median milliseconds an update, after an epoch of warming up."""
    trial._train()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        trial._train()
        taken.append((time.perf_counter() - start) * 1e3 / trial.updates_per_epoch)
    return statistics.median(taken)


def kernels(trial):
    """Milliseconds of the kernels of an update, and their number."""
    trial._train()
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        trial._train()
        torch.cuda.synchronize()
    events = [
        e for e in found.events() if e.device_type == torch.autograd.DeviceType.CUDA
    ]
    spent = sum(event.device_time_total for event in events) / 1e3
    return spent / trial.updates_per_epoch, len(events) / trial.updates_per_epoch


# -- correctness ----------------------------------------------------------------------


def one_update(depth, device, dtype, fields):
    """How an update changes all weights, from one start."""
    config = {"model.depth": depth, "optimizer.lr": 0.01, **METHOD, **EAGER, **fields}
    torch.manual_seed(0)
    model = PlainCNN(depth=depth, in_channels=3)
    draws = torch.Generator().manual_seed(1)
    images = torch.randn(64, 3, 16, 16, generator=draws)
    batch = Split(
        images=images.to(device, dtype), targets=(torch.arange(64) % 10).to(device)
    )
    model.to(device, dtype).to(memory_format=torch.channels_last)
    with _deterministic(torch.device(device)):
        update = Update(TrialConfig.from_dict(config), model, batch.images)
        start = update.weights().cpu()
        update(batch, update.settings(0, 10)[0].to(device))
    return update.weights().cpu() - start


def against_float64(lines):
    for depth in (8, 20, 44):
        exact = one_update(depth, "cpu", torch.float64, {})
        for name, fields in {"fp32": {}, "bf16": HALF}.items():
            for device in ("cpu", "cuda"):
                change = one_update(depth, device, torch.float32, fields)
                off = torch.linalg.vector_norm(change - exact)
                lines.add(
                    "change of an update against float64",
                    network=f"plain-{depth}",
                    precision=name,
                    device=device,
                    relative=(off / torch.linalg.vector_norm(exact)).item(),
                )


def trained(fields, epochs=3, stop_after=None, device="cuda"):
    """Metrics and weights after some epochs on digits, perhaps continued in between."""
    config = {"model.depth": 20, "training.num_epochs": epochs, **METHOD, **fields}
    trial = Trial(TrialConfig.from_dict(config), device)
    metrics = []
    while not trial.finished:
        found = trial.run_epoch()
        metrics.append([found["train_loss"], found["val_error"]])
        if trial.epoch == stop_after:
            state = trial.state_dict()
            trial = Trial(TrialConfig.from_dict(config), device)
            trial.load_state_dict(state)
    return metrics, trial._update.weights().cpu(), type(trial._step).__name__


def same(lines):
    kinds = {
        "fp32": {},
        "bf16": HALF,
        "no modulation": {"modulation.enabled": False},
        "nesterov, clipped": {"optimizer.nesterov": True, "training.clip_norm": 1.0},
        "double batch": {"data.num_micro_batches": 2},
        "adamw": {"optimizer.kind": "adamw", "optimizer.lr": 1e-3},
        "muon": {"optimizer.kind": "muon", "optimizer.lr": 1e-2},
        "lars": {"optimizer.kind": "lars"},
        "fp16": {"training.precision": "fp16"},
        "residual": {"model.family": "residual", "modulation.enabled": False},
    }
    for name, fields in kinds.items():
        try:
            first = trained(fields)
            again = trained(fields)
            eager = trained({**fields, **EAGER})
            continued = trained(fields, stop_after=1)
        except Exception as err:
            lines.add("same", kind=name, error=repr(err)[:300])
            continue
        away = torch.linalg.vector_norm(first[1] - eager[1])
        away = (away / torch.linalg.vector_norm(eager[1])).item()
        lines.add(
            "same",
            kind=name,
            step=first[2],
            twice=bool(first[0] == again[0] and torch.equal(first[1], again[1])),
            as_eager=bool(first[0] == eager[0] and torch.equal(first[1], eager[1])),
            off_eager=away,
            continued=bool(
                first[0] == continued[0] and torch.equal(first[1], continued[1])
            ),
            last=first[0][-1],
        )
    lines.add("on a CPU", kind="fp32", last=trained({}, device="cpu")[0][-1])


# -- speed ----------------------------------------------------------------------------


def bandwidth(lines):
    """Terabytes a second of a copy on the device, read and written."""
    data = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    other = torch.empty_like(data)
    taken = []
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        other.copy_(data)
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    lines.add(
        "copy", terabytes_per_s=2 * data.numel() / statistics.median(taken) / 1e12
    )


def speed(lines):
    for depth in (44, 110):
        for name, fields in {"fp32": {}, "bf16": HALF}.items():
            torch.cuda.reset_peak_memory_stats()
            eager = trial_of(depth, {**fields, **EAGER})
            eager_ms = step_ms(eager)
            eager_gb = torch.cuda.max_memory_reserved() / 1e9
            own_ms, count = kernels(eager)
            del eager
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            trial = trial_of(depth, fields)
            captured_ms = step_ms(trial)
            gigabytes = torch.cuda.max_memory_reserved() / 1e9
            del trial
            torch.cuda.empty_cache()
            lines.add(
                "step",
                network=f"plain-{depth}",
                precision=name,
                eager_ms=eager_ms,
                captured_ms=captured_ms,
                kernels_ms=own_ms,
                kernels=count,
                images_per_s=BATCH / captured_ms * 1e3,
                hours_of_64k=PAPER_UPDATES * captured_ms / 3.6e6,
                eager_gb=eager_gb,
                captured_gb=gigabytes,
            )


def small(lines):
    """As the studies of this repository run them: small images and batches."""
    for size, batch in ((8, 64), (28, 64)):
        for name, fields in {"captured": HALF, "eager": {**HALF, **EAGER}}.items():
            trial = trial_of(44, fields, size=size, batch=batch)
            lines.add("step at", size=size, batch=batch, kind=name, ms=step_ms(trial))


def epochs(lines):
    """What of an epoch on digits is the measuring."""
    fields = {"model.depth": 44, "training.num_epochs": 1000, **METHOD, **HALF}
    trial = Trial(TrialConfig.from_dict(fields), "cuda")
    for _ in range(2):
        trial.run_epoch()
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        metrics = trial.run_epoch()
        taken.append(time.perf_counter() - start)
    updates = trial.updates_per_epoch
    training = updates * trial.config.data.batch_size / metrics["images_per_s"]
    lines.add("epoch of digits", seconds=statistics.median(taken), training=training)


def textbook(lines):
    for depth in (44, 110):
        images = torch.randn(BATCH, 3, SIZE, SIZE, device="cuda")
        targets = torch.arange(BATCH, device="cuda") % 10
        step = TextbookStep(depth, 3, device="cuda")
        for _ in range(5):
            step(images, targets)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(UPDATES):
            step(images, targets)
        torch.cuda.synchronize()
        ms = (time.perf_counter() - start) / UPDATES * 1e3
        lines.add("textbook step", network=f"plain-{depth}", precision="fp32", ms=ms)


def streams(lines):
    """Several captured trials in one process, each on a stream of its own."""
    trials = [trial_of(44, HALF) for _ in range(8)]
    for trial in trials:
        trial._train()
    own = [torch.cuda.Stream() for _ in trials]
    batches = [next(iter(trial._batches())) for trial in trials]
    rows = [trial._update.settings(0, 1)[0].to(trial.device) for trial in trials]
    for number in (1, 2, 4, 8):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(100):
            for index in range(number):
                with torch.cuda.stream(own[index]):
                    trials[index]._step(batches[index], rows[index])
        torch.cuda.synchronize()
        rate = 100 * number / (time.perf_counter() - start)
        lines.add("streams", trials=number, steps_per_s=rate)


def share(fields, number, folder):
    """One of several processes: trains while a file says that it is its turn."""
    trial = trial_of(44, json.loads(fields))
    trial._train()
    trial._train()
    Path(folder, f"ready{number}").touch()
    for together in PROCESSES:
        while not Path(folder, f"go{together}").exists():
            time.sleep(0.01)
        if number >= together:
            continue
        start, updates = time.perf_counter(), 0
        while time.perf_counter() - start < SHARED_S:
            trial._train()
            updates += trial.updates_per_epoch
        rate = updates / (time.perf_counter() - start)
        Path(folder, f"rate{together}.{number}").write_text(str(rate))


def processes(lines, folder):
    """Several trials as processes on one GPU."""
    command = [sys.executable, "-m", "tests.gpu", "--share"]
    for name, fields in {"captured": HALF, "eager": {**HALF, **EAGER}}.items():
        here = folder / name
        here.mkdir(parents=True, exist_ok=True)
        begun = [
            subprocess.Popen([*command, json.dumps(fields), str(number), str(here)])
            for number in range(max(PROCESSES))
        ]
        while len(list(here.glob("ready*"))) < len(begun):
            time.sleep(0.05)
        for together in PROCESSES:
            (here / f"go{together}").touch()
            while len(list(here.glob(f"rate{together}.*"))) < together:
                time.sleep(0.05)
            time.sleep(0.2)
            rates = [float(p.read_text()) for p in here.glob(f"rate{together}.*")]
            lines.add("processes", kind=name, trials=together, steps_per_s=sum(rates))
        for one in begun:
            one.wait()


def compiled(lines):
    for name, more in {"compiled": EAGER, "compiled and captured": {}}.items():
        start = time.perf_counter()
        trial = trial_of(44, {**HALF, **more, "training.compile": True})
        trial._train()
        seconds = time.perf_counter() - start
        lines.add(
            "step compiled",
            kind=name,
            precision="bf16",
            ms=step_ms(trial),
            first_s=seconds,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("ablations/results/gpu"))
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--share", nargs=3)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        say("No GPU is here: nothing is measured.")
        return
    if args.share:
        share(*[args.share[0], int(args.share[1]), args.share[2]])
        return
    name = torch.cuda.get_device_name()
    lines = Lines(args.out / f"{name.replace(' ', '-')}.jsonl")
    lines.add(
        "machine", gpu=name, torch=torch.__version__, python=sys.version.split()[0]
    )
    folder = args.out / "shared"
    parts = {
        "bandwidth": bandwidth,
        "float64": against_float64,
        "same": same,
        "speed": speed,
        "small": small,
        "epochs": epochs,
        "textbook": textbook,
        "streams": streams,
        "processes": lambda lines: processes(lines, folder),
        "compiled": compiled,
    }
    for name, part in parts.items():
        if args.only and name not in args.only:
            continue
        start = time.perf_counter()
        try:
            part(lines)
        except Exception as err:
            lines.add("failed", part=name, error=repr(err)[:500])
        lines.add("took", part=name, seconds=time.perf_counter() - start)


if __name__ == "__main__":
    main()
