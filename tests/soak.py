"""Kill studies at random moments until so many kills are done: `make soak`.

Every study runs with one trial at a time, ends with a confirmation, is killed again and
again until it is finished, and is compared with the uninterrupted study of the same
seed: the same trials, the same metric histories bit for bit, the same best, and MLflow
with exactly one closed run a trial and no step twice. A row per kill goes to a csv
file.
"""

import argparse
import csv
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.crashes import (
    Cluster,
    Server,
    Workplace,
    assert_mlflow_agrees,
    assert_the_same,
    ended,
    kill_worker,
)

LONGER = (
    "--set search.num_trials=14 --set search.max_epochs=14 --set search.audit=0.3 "
    "--set search.confirm.top=3"
).split()
MAX_DEATHS = 3


def main() -> int:
    """Run studies until there were enough kills; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, default=Path("soak.csv"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak(Path(folder), options.kills, options.seed, options.csv)
    return 0


def soak(folder: Path, kills: int, seed: int, path: Path) -> None:
    """Kill studies, one with a seed of its own after the other."""
    reference = Workplace(folder / "reference", *LONGER)
    reference.finish()
    start, done = time.monotonic(), 0
    with path.open("a", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        if not path.stat().st_size:
            rows.writerow(["seed", "session", "kind", "after_s", "epochs", "ended"])
        while done < kills:
            done += one_study(folder / str(seed), seed, reference, rows)
            file.flush()
            per_kill = (time.monotonic() - start) / done
            left = max(0, kills - done) * per_kill / 60
            sys.stderr.write(f"seed {seed}: {done} kills, {left:.0f} min left\n")
            seed += 1


def one_study(folder: Path, seed: int, reference: Workplace, rows) -> int:
    """Kill one study until it is finished, and compare; the number of kills."""
    rng = random.Random(seed)
    extra = rng.choice(["server", "node"])
    server = Server(folder / "server") if extra == "server" else None
    cluster = Cluster() if extra == "node" else None
    uri = server.uri if server else f"sqlite:///{folder}/mlflow.db"
    more = ["--tracking-uri", uri]
    more += ["--address", cluster.address] if cluster else []
    work = Workplace(folder, *LONGER, *more)
    kills, session = 0, 0
    try:
        finished = False
        while not finished:
            strikes = Session(work, rng, ["driver", "interrupt", "worker", extra])
            for kind, after_s in strikes:
                done = [work.events("epoch"), work.events("ended")]
                rows.writerow([seed, session, kind, f"{after_s:.2f}", *done])
                kills += 1
                strike(kind, strikes.process, server, cluster, rng)
            _, err = ended(strikes.process)
            finished, session = strikes.process.returncode == 0, session + 1
            code = strikes.process.returncode
            # -SIGINT: an interrupt that came while Python took itself down, all closed.
            ends = (0, 130, -signal.SIGKILL, -signal.SIGINT)
            assert code in ends, f"{code}: {err}"
    finally:
        if cluster is not None:
            cluster.stop()
    try:
        assert_the_same(work, reference)
        assert_mlflow_agrees(work, uri)
    finally:
        if server is not None:
            server.kill()
    return kills


class Session:
    """One run of the command, and what happens to it when.

    Iterates over what to kill next and the seconds waited for it, until the command has
    ended. A trial survives three deaths of its worker, so there are no more a session.
    """

    def __init__(self, work: Workplace, rng: random.Random, kinds: list[str]) -> None:
        self._started = work.events("started")
        self._work, self._rng, self._kinds = work, rng, kinds
        self.process = work.start()

    def __iter__(self) -> Iterator[tuple[str, float]]:
        self._work.wait_for("started", self._started + 1, self.process)
        deaths = 0
        while self.process.poll() is None:
            after_s = self._rng.uniform(0, 4)
            time.sleep(after_s)
            kind = self._rng.choice(self._kinds)
            if self.process.poll() is not None:
                return
            if kind in ("worker", "node"):
                deaths += 1
                if deaths > MAX_DEATHS:
                    kind = "driver"
            yield kind, after_s


def strike(kind, process, server, cluster, rng) -> None:
    """Kill one thing, and bring back what does not come back by itself."""
    if kind == "driver":
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    if kind == "interrupt":
        os.kill(process.pid, signal.SIGINT)
        process.wait()
    if kind == "worker":
        kill_worker(process)
    if kind == "server":
        server.kill()
        time.sleep(rng.uniform(0, 3))
        server.start()
    if kind == "node":
        cluster.kill_node()
        time.sleep(rng.uniform(0, 3))
        cluster.add_node()


if __name__ == "__main__":
    sys.exit(main())
