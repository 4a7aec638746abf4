"""Many trials: what one costs the driver, early and late.

Simulated: everything of a study but Ray and the training runs (searcher, scheduler,
record on disk, checkpoints' keeper, status line, MLflow into SQLite), in the order in
which Ray calls it. A growing cost per trial would make large studies impossible.

TPE's own cost grows with the trials that it models, whoever calls it: it dominates from
some hundred trials on. So the rows of ours draw at random, and TPE has a row apart.
"""

import math
import random
import tempfile
import time
from pathlib import Path

from orthotune.progress.display import ProgressDisplay
from orthotune.record.checkpoints import CheckpointFolder, CheckpointKeeper
from orthotune.study.study_file import read_study
from orthotune.tracking import tracker as tracking
from orthotune.tracking.tracking_uri import resolve_tracking_uri
from orthotune.tune.scheduler import build_scheduler
from tests.benchmarks.apart import apart, resident_kb
from tests.benchmarks.rows import row, say
from tests.benchmarks.trackers import finish, started
from tests.ray_part import Session

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
        line = ProgressDisplay(self.study, journal, lambda: 1)
        checkpoints = CheckpointFolder(str(folder / "checkpoints"))
        observers = [line, CheckpointKeeper(checkpoints, journal, "val_error", 3)]
        self.tracker = None
        if tracked:
            uri = resolve_tracking_uri(f"sqlite:///{folder}/mlflow.db")
            self.tracker = started(uri, "many")
            observers.append(self.tracker)
        journal.observers = observers

    def run(self, count):
        """So many more trials; the driver's seconds of computing for each.

        Not those in which other processes have the machine, or the writer's thread.
        """
        start = time.thread_time()
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
        return (time.thread_time() - start) / count

    def close(self):
        """Everything written; the seconds that took."""
        start = time.perf_counter()
        if self.tracker is not None:
            finish(self.tracker)
        return time.perf_counter() - start


def grow(searcher, most, tracked, few):
    """In a process of its own: seconds a trial around few and around most trials."""
    tracking.CLOSING_WAIT_S = 3600.0
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(Path(folder), searcher, tracked=tracked)
        simulation.run(few // 2)  # what is done once
        early_s = simulation.run(few)
        before_kb = resident_kb()
        simulation.run(most - 2 * few - few // 2)
        late_s = simulation.run(few)
        closing_s = simulation.close()
        kb = (resident_kb() - before_kb) / (most - few - few // 2)
        return early_s, late_s, kb, closing_s


def growth(searcher, most, few, *, tracked):
    """How much more a late trial costs than an early one."""
    with_mlflow = ", MLflow in SQLite" if tracked else ""
    say(f"  {searcher}{with_mlflow}, {most} trials")
    early_s, late_s, kb, closing_s = apart(grow, searcher, most, tracked, few)
    return row(
        f"driver time a trial, {most} trials over {few}, {searcher}{with_mlflow}",
        late_s,
        early_s,
        late_s / early_s,
        few,
        target="TPE's own growth" if searcher == "tpe" else "<= 3",
        kb_per_trial=round(kb, 1),
        closing_s=round(closing_s, 1),
    )


def measures(*, quick=False):
    """Every row of this module."""
    most, with_tpe, few = (300, 200, 20) if quick else (10_000, 2000, 100)
    return [
        growth("random", most, few, tracked=False),
        growth("random", most, few, tracked=True),
        growth("tpe", with_tpe, few, tracked=False),
    ]
