"""Kill studies at random moments until so many kills are done: `make soak`.

Every study runs with one trial at a time, is killed again and again until it is
finished, and is compared with the uninterrupted study of the same seed: the same
trials, the same metric histories bit for bit, the same best, and MLflow with exactly
one closed run a trial and no step twice. A row per kill goes to a csv file.
"""

import argparse
import csv
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.crashes import (
    Cluster,
    Server,
    Workplace,
    assert_mlflow_agrees,
    assert_the_same,
    interrupt,
    kill_driver,
    kill_worker,
)

KINDS = ("driver", "driver", "worker", "interrupt", "server", "node")


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
    reference = Workplace(folder / "reference")
    reference.finish()
    start, done = time.monotonic(), 0
    with path.open("a", newline="") as file:
        rows = csv.writer(file)
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
    kinds = {"driver", "worker", "interrupt", rng.choice(["server", "node"])}
    server = Server(folder / "server") if "server" in kinds else None
    cluster = Cluster() if "node" in kinds else None
    uri = server.uri if server else f"sqlite:///{folder}/mlflow.db"
    more = ["--tracking-uri", uri]
    more += ["--address", cluster.address] if cluster else []
    work = Workplace(folder, *more)
    kills = 0
    try:
        for session in range(100):
            before = work.events("started")
            process = work.start()
            work.wait_for("started", before + 1, process)
            after_s = rng.uniform(0, 3)
            time.sleep(after_s)
            if process.poll() is not None:
                _, err = process.communicate()
                assert process.returncode == 0, err
                break
            kind = rng.choice(sorted(kinds))
            epochs, ended = work.events("epoch"), work.events("ended")
            rows.writerow([seed, session, kind, f"{after_s:.2f}", epochs, ended])
            kills += 1
            strike(kind, process, server, cluster, rng)
    finally:
        if server is not None:
            server.kill()
        if cluster is not None:
            cluster.stop()
    check = Server(folder / "server") if server else None
    try:
        assert_the_same(work, reference)
        assert_mlflow_agrees(work, check.uri if check else uri)
    finally:
        if check is not None:
            check.kill()
    return kills


def strike(kind, process, server, cluster, rng) -> None:
    """Kill one thing; wait for the driver where it goes on."""
    if kind == "driver":
        kill_driver(process)
        return
    if kind == "interrupt":
        interrupt(process)
        return
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
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, (kind, process.returncode, err)


if __name__ == "__main__":
    sys.exit(main())
