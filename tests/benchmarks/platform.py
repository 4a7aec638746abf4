"""What the platform adds to training: per trial, at the start, and to a refusal.

The real command and a stock script (`stock.py`) search the same tiny network, a process
and a folder of their own each time, MLflow into SQLite. Both sides are timed by what
MLflow holds:

- overhead a trial: slots x (last trial's end - first trial's start) - the sum of
  training (`epoch_time_s`), over the number of trials: the seconds of a slot that went
  into anything but training. With one slot that is wall time minus training.
- start-up: from the start of the process to the first epoch reported.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from tests.bad_input import BAD
from tests.benchmarks.rows import ratio_row, row, say

ROOT = Path(__file__).parents[2]
STUDY = """\
name: tiny
search: {num_trials: 100, max_epochs: 1}
fixed: {model.depth: 8, data.num_train: 128, data.batch_size: 64}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  regularizer.coeff: {type: float, low: 1e-5, high: 1e-2, log: true}
"""


@dataclass(frozen=True)
class Times:
    """What MLflow says of a search; seconds.

    Args:
        startup: From the start of the process to the first epoch reported.
        wall: From the first trial's start to the last one's end.
        training: The sum of what the trials say they trained and evaluated.
        whole: The process, from its start to its end.
        trials: Trials.
    """

    startup: float
    wall: float
    training: float
    whole: float
    trials: int

    def overhead(self, slots):
        """Seconds of a slot a trial that are not training."""
        return (slots * self.wall - self.training) / self.trials


def process(folder, code, *arguments):
    """Run a Python process of its own in a folder; its start and its end."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),  # where Ray finds a token, which a stock script lacks
        "MLFLOW_TRACKING_URI": "",
    }
    start = time.time()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    end = time.time()
    assert done.returncode == code, done.stderr[-2000:]
    return start, end


def ours(trials, slots):
    with tempfile.TemporaryDirectory() as name:
        Path(name, "tiny.yaml").write_text(STUDY)
        arguments = ["-m", "orthotune.search", "tiny.yaml"]
        for key, value in (("num_trials", trials), ("max_concurrent", slots)):
            arguments += ["--set", f"search.{key}={value}"]
        return timed(name, "tiny", arguments, trials)


def stock(trials, slots):
    with tempfile.TemporaryDirectory() as name:
        arguments = ["-m", "tests.benchmarks.stock"]
        arguments += ["--trials", str(trials), "--slots", str(slots)]
        return timed(name, "stock", arguments, trials)


def timed(folder, experiment, arguments, trials):
    """Run a search, and read its times from MLflow."""
    start, end = process(folder, 0, *arguments)
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], max_results=1000)
    runs = [run for run in runs if "epoch_time_s" in run.data.metrics]
    assert len(runs) == trials
    first = min(
        metric.timestamp
        for run in runs
        for metric in client.get_metric_history(run.info.run_id, "epoch_time_s")
    )
    began = min(run.info.start_time for run in runs)
    ended = max(run.info.end_time for run in runs)
    return Times(
        startup=first / 1000 - start,
        wall=(ended - began) / 1000,
        training=sum(run.data.metrics["epoch_time_s"] for run in runs),
        whole=end - start,
        trials=trials,
    )


def in_turns(turns, slots, trials, few):
    """Both sides' times, turn by turn; the stock script runs fewer trials."""
    mine, theirs = [], []
    for turn in range(turns):
        say(f"  trials: {trials}, at once: {slots}, turn {turn + 1} of {turns}")
        mine.append(ours(trials, slots))
        theirs.append(stock(few, slots))
    return mine, theirs


def seconds_row(measure, found, limit, *, digits, **more):
    """A row of our own seconds, against the limit they are to keep."""
    median = statistics.median(found)
    return row(
        f"{measure}, in seconds",
        median,
        limit,
        median,
        len(found),
        target=f"<= {limit:g}",
        seconds=[round(value, digits) for value in found],
        **more,
    )


def overhead_rows(slots, trials, few, turns):
    """The cost of a trial."""
    mine, theirs = in_turns(turns, slots, trials, few)
    measure = f"platform's cost of a trial, {slots} at once"
    below = [times.overhead(slots) for times in mine]
    yield ratio_row(
        f"{measure}: stock script against ours",
        [times.overhead(slots) for times in theirs],
        below,
        ours="below",
        target=">= 10",
        trials=[trials, few],
    )
    yield seconds_row(
        measure,
        below,
        0.1,
        digits=4,
        training=[round(times.training / times.trials, 4) for times in mine],
    )


def startup_rows(turns):
    """From the command to the first epoch."""
    mine, theirs = in_turns(turns, 1, 1, 1)
    measure = "command to first epoch"
    taken = [times.startup for times in mine]
    yield ratio_row(
        f"{measure}: stock script against ours",
        [times.startup for times in theirs],
        taken,
        ours="below",
    )
    yield seconds_row(
        measure,
        taken,
        10.0,
        digits=2,
        whole=[round(times.whole, 2) for times in mine],
    )


def refusal_rows(turns):
    """Bad input of every kind; beside it, what importing torch and Ray takes."""
    with tempfile.TemporaryDirectory() as folder:
        imports = [
            seconds(folder, 0, "-c", "import torch, ray.tune") for _ in range(turns)
        ]
        taken = {}
        for kind, (text, more) in BAD.items():
            Path(folder, "bad.yaml").write_text(text)
            command = ["-m", "orthotune.search", "bad.yaml", *more]
            taken[kind] = statistics.median(
                seconds(folder, 2, *command) for _ in range(turns)
            )
    slowest = max(taken, key=taken.__getitem__)
    yield row(
        f"bad input refused, in seconds, the slowest of {len(BAD)} kinds ({slowest})",
        taken[slowest],
        statistics.median(imports),
        taken[slowest],
        turns,
        target="<= 1",
    )


def seconds(folder, code, *arguments):
    start, end = process(folder, code, *arguments)
    return end - start


def measures(*, quick=False):
    rows = [*refusal_rows(1 if quick else 5), *startup_rows(1 if quick else 3)]
    for slots in (1, 2):
        sizes = (8, 2, 1) if quick else (100, 10, 2)
        rows += overhead_rows(slots, *sizes)
    return rows
