"""Whether one driver keeps 64 slots of GPUs busy: trials that sleep, all else real.

Nodes of a Ray cluster on this machine say that they have GPUs (`tests.fake_gpus`). The
command searches there, with preflight, record, searcher and an MLflow server; only what
its workers run is replaced (`sleeper.py`). A slot is idle from the end of a trial until
the next one is in its place: that is the driver's to keep short.

    busy = (sum of the trials' times) / (slots x time)

between the moment when all slots are busy first and the start of the last trial.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.rows import row, say
from tests.benchmarks.sleeper import BEGAN, ENDED, SECONDS
from tests.crashes import Cluster, Server
from tests.fake_gpus import python_path

ROOT = Path(__file__).parents[2]
NODES, SLOTS = 4, 64
STUDY = """\
name: slots
search: {{max_epochs: 1, searcher: {searcher}, num_trials: {trials}}}
resources: {{gpus: {gpus}}}
space:
  optimizer.lr: {{type: float, low: 1e-4, high: 1, log: true}}
  regularizer.coeff: {{type: float, low: 1e-5, high: 1, log: true}}
"""


def drive():
    """The search command, whose workers sleep; its exit code is the process's."""
    from orthotune.commands.search import main
    from orthotune.tune import trial_runner as fitting
    from tests.benchmarks.sleeper import Sleeper

    fitting.StudyTrainable = Sleeper
    sys.exit(main(sys.argv[1:]))


def times_of(folder):
    """From when to when each trial had its slot, in the order they began."""
    lines = (folder / "studies" / "slots" / "trials.jsonl").read_text().splitlines()
    found = [json.loads(line)["history"]["1"] for line in lines]
    return sorted((one[BEGAN], one[ENDED]) for one in found)


def most_at_once(times):
    """The most trials that ran at one moment, and the first such moment."""
    events = sorted(
        [(began, 1) for began, _ in times] + [(end, -1) for _, end in times]
    )
    running, most, when = 0, 0, 0.0
    for at, change in events:
        running += change
        if running > most:
            most, when = running, at
    return most, when


def busy(times, slots, start):
    """The share of the slots' time that trials had, until none is left to start."""
    end = times[-1][0]
    had = sum(max(0.0, min(e, end) - max(b, start)) for b, e in times)
    return had / (slots * (end - start))


def run(trials, seconds, gpus, searcher):
    """A search on a cluster of its own; the times of its trials, and its start."""
    per_node = int(SLOTS * gpus / NODES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = f"{python_path(folder / 'site', per_node)}:{ROOT}"
        server = Server(folder / "mlflow")
        cluster = Cluster(
            NODES,
            cpus=SLOTS // NODES,
            gpus=per_node,
            PYTHONPATH=path,
            **{SECONDS: str(seconds)},
        )
        text = STUDY.format(searcher=searcher, trials=trials, gpus=gpus)
        (folder / "slots.yaml").write_text(text)
        code = "from tests.benchmarks.slots import drive; drive()"
        places = ["--address", cluster.address, "--tracking-uri", server.uri]
        start = time.time()
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, "slots.yaml", *places],
                cwd=folder,
                # As Ray is imported before `prepare` says so.
                env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token"},
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        finally:
            cluster.stop()
            server.kill()
        assert done.returncode == 0, done.stdout
        return times_of(folder), start


def rows(trials, seconds, gpus, searcher):
    say(f"  {trials} trials of {seconds:g} s, {gpus:g} GPU each, {searcher}")
    times, start = run(trials, seconds, gpus, searcher)
    most, full = most_at_once(times)
    assert len(times) == trials
    say(f"  most at once {most}, all busy {full - times[0][0]:.1f} s after the first")
    share = busy(times, SLOTS, full)
    waits = (1 / share - 1) * seconds
    yield row(
        f"{SLOTS} slots at {gpus:g} GPU, {trials} trials of {seconds:g} s, {searcher}: "
        "how busy the driver keeps them",
        share,
        1.0,
        share,
        trials,
        target=">= 0.95",
        unit="share of the time",
        at_once=most,
        full_after_s=round(full - times[0][0], 1),
        first_after_s=round(times[0][0] - start, 1),
        wait_between_s=round(waits, 3),
    )


def measures(*, quick=False):
    found = []
    for gpus, trials in ((0.25, 200 if quick else 2000), (0.5, 200)):
        found += rows(trials, 5.0, gpus, "random")
    if not quick:
        found += rows(2000, 5.0, 0.25, "tpe")
    return found
