"""python -m tests.benchmarks.trials: what a trial costs the driver, early and late.

Simulated: everything of a study but Ray and the training runs (searcher, scheduler,
record on disk, checkpoints' keeper, status line, MLflow into SQLite), in the order in
which Ray calls it. A growing cost per trial would make large studies impossible.
"""

import argparse
import io
import json
import math
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from orthotune.training.progress import ProgressLine, duration
from orthotune.tuning.checkpoints import CheckpointFolder, CheckpointKeeper
from orthotune.tuning.scheduler import build_scheduler
from orthotune.tuning.status_line import StatusLine
from orthotune.tuning.study_file import read_study
from orthotune.tuning.tracking import Summary, Tracker, resolve_tracking_uri
from tests.tuning.ray_part import Session

STUDY = """\
name: many
search: {num_trials: 100000, max_epochs: 20, grace_epochs: 2, seed: 0}
fixed: {model.depth: 8}
space:
  optimizer.lr: {type: float, low: 1e-4, high: 1, log: true}
  regularizer.coeff: {type: float, low: 1e-5, high: 1, log: true}
  modulation.threshold: {type: float, low: 0, high: 1}
"""


class Simulation:
    """A study without training.

    Args:
        folder: Where its files go.
        searcher: The searcher it names.
        tracked: Whether it writes to MLflow.
    """

    def __init__(self, folder, searcher, *, tracked=True):
        path = folder / "many.yaml"
        path.write_text(STUDY)
        self.study = read_study(str(path), {"search.searcher": searcher})
        scheduler = build_scheduler(self.study)
        self.session = Session(self.study, folder / "record", scheduler=scheduler)
        journal = self.session.journal
        line = StatusLine(self.study, journal, time.monotonic())
        line._line = ProgressLine(io.StringIO())
        checkpoints = CheckpointFolder(str(folder / "checkpoints"))
        observers = [line, CheckpointKeeper(checkpoints, journal, "val_error", 3)]
        self.tracker = None
        if tracked:
            self.tracker = Tracker(
                uri=resolve_tracking_uri(f"sqlite:///{folder}/mlflow.db"),
                name="many",
                study_id="id",
                metric="val_error",
                params={},
                tags={},
            )
            self.tracker.connect()
            self.tracker.start([])
            observers.append(self.tracker)
        journal.observers = observers

    def run(self, count):
        """So many more trials; the driver's seconds."""
        start = time.perf_counter()
        for _ in range(count):
            trial = self.session.start()
            lr = trial.fields["optimizer.lr"]
            rng = random.Random(lr)
            floor = min(0.9, abs(math.log10(lr) + 2) / 4)
            for epoch in range(1, 21):
                error = floor + (0.9 - floor) * math.exp(-epoch / 4)
                error = min(1.0, max(0.0, error + rng.gauss(0, 0.01)))
                if self.session.epoch(trial, epoch, error) == "STOP":
                    break
        return time.perf_counter() - start

    def close(self):
        """Everything written; the seconds that took."""
        start = time.perf_counter()
        if self.tracker is not None:
            self.tracker.finish(
                Summary(status="FINISHED", metrics={}, tags={}, artifacts=[])
            )
            assert self.tracker.complete
        return time.perf_counter() - start


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth(searcher, most, *, tracked):
    """Driver's milliseconds per trial around 100 and around `most` trials."""
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(Path(folder), searcher, tracked=tracked)
        few = 100
        simulation.run(few // 2)  # what is done once
        early_s = simulation.run(few) / few
        before_mb = peak_mb()
        simulation.run(most - 2 * few - few // 2)
        late_s = simulation.run(few) / few
        memory_kb = (peak_mb() - before_mb) * 1024 / (most - 2 * few)
        closing_s = simulation.close()
        return {
            "measure": f"driver time a trial, {most} trials over {few}, {searcher}"
            + (", MLflow in SQLite" if tracked else ""),
            "ours": late_s,
            "reference": early_s,
            "ratio": round(late_s / early_s, 2),
            "kb_per_trial": round(memory_kb, 1),
            "backlog_s": round(closing_s, 1),
            "n": few,
        }


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.trials")
    parser.add_argument("--most", type=int, default=10_000)
    most = parser.parse_args().most
    rows = []
    for searcher, trials, tracked in (
        ("random", most, False),
        ("random", most, True),
        ("tpe", min(most, 2000), False),
    ):
        start = time.perf_counter()
        print(f"measuring {searcher}, {trials} trials ...", file=sys.stderr)
        rows.append(growth(searcher, trials, tracked=tracked))
        print(f"  {duration(time.perf_counter() - start)}", file=sys.stderr)
    for row in rows:
        print(
            f"{row['ratio']:6.2f}  {row['measure']}: {row['reference'] * 1e3:.1f} ms, "
            f"then {row['ours'] * 1e3:.1f} ms; {row['kb_per_trial']} kB a trial"
        )
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
