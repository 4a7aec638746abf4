"""Tracking: what MLflow takes a second, and what the scheduler's loop pays for it.

The reference is the callback that comes with Ray, called in Ray's order. Both sides log
the same metrics of the same trials; no number counts before the store has been counted.
Ray would have its callback log a dozen counters of its own too: it is spared them.
"""

import contextlib
import gc
import json
import sqlite3
import statistics
import tempfile
import time
import tracemalloc
import urllib.request
from pathlib import Path

from mlflow import MlflowClient

from orthotune.config.metrics import METRICS
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.tracking import tracker as tracking
from tests.benchmarks.apart import apart, resident_kb
from tests.benchmarks.rows import ratio_row, row, say
from tests.benchmarks.trackers import NUM_EPOCHS, Ours, Rays, play
from tests.crashes import Server

PAUSE_S = 0.001  # between reports: Ray's loop handles about a thousand a second
PER_TRIAL = NUM_EPOCHS * len(METRICS)


SMALLEST_KB = 0.1
"""What memory that did not grow counts as, in a ratio."""


def count(file, name):
    """Metrics of an experiment that a store holds, each point once."""
    query = (
        "select count(*) from metrics join runs using (run_uuid) join experiments "
        "using (experiment_id) where experiments.name = ? and key in ({})"
    ).format(", ".join("?" * len(METRICS)))
    with contextlib.closing(sqlite3.connect(file)) as store:
        return store.execute(query, [name, *METRICS]).fetchone()[0]


def written(make, folder, uri, file, name, trials, pause_s=0.0):
    """What a side needs for so many trials: metrics a second, and its waits."""
    side = make(folder, uri, name)
    start = time.perf_counter()
    reports_s = play(side, 0, trials, pause_s)
    side.close()
    seconds = time.perf_counter() - start
    found = count(file, name)
    assert found == trials * PER_TRIAL, f"{name}: {found} metrics of {trials} trials"
    return found / seconds, side.waits_s, reports_s


def rates(where, folder, stores, turns, trials, rays_trials):
    """How many metrics a second go into a store, both sides in turns."""
    ours, rays = [], []
    for turn in range(turns):
        say(f"  {where}, turn {turn + 1} of {turns}")
        found = written(Ours, folder, *stores[0], f"ours-{turn}", trials)
        ours.append(found[0])
        found = written(Rays, folder, *stores[1], f"ray-{turn}", rays_trials)
        rays.append(found[0])
    return ratio_row(
        f"metrics/s into {where}: ours over Ray's callback",
        ours,
        rays,
        ours="above",
        target=">= 30, ours >= 5000",
        unit="metrics/s",
        trials=[trials, rays_trials],
    )


def waiting(where, folder, stores, trials, rays_trials):
    """How long the loop waits for a report, with the writer at work beside it."""
    found = written(Ours, folder, *stores[0], "ours-waits", trials, PAUSE_S)
    _, ours_s, reports_s = found
    _, rays_s, _ = written(Rays, folder, *stores[1], "ray-waits", rays_trials, PAUSE_S)
    mine, theirs = p99_ms(ours_s), p99_ms(rays_s)
    return row(
        f"wait for tracking a report, 99th percentile, {where}: Ray's over ours",
        mine,
        theirs,
        theirs / mine,
        len(ours_s),
        target="ours <= 1 ms",
        unit="ms",
        with_the_record_ms=p99_ms(reports_s),
    )


def median_ms(seconds):
    return statistics.median(seconds) * 1e3


def p99_ms(seconds):
    return statistics.quantiles(seconds, n=100)[-1] * 1e3


def grow(folder, trials, tracked):
    """In a process of its own: kB a trial, seconds of every report and of the close."""
    tracking.CLOSING_WAIT_S = 3600.0
    uri = f"sqlite:///{folder}/server.db"
    side = Ours(folder, uri, f"many-{tracked}", tracked=tracked, timed=False)
    first = trials // 4
    reports_s = play(side, 0, first)
    before_kb = resident_kb()
    play(side, first, trials)
    start = time.perf_counter()
    side.close()
    closing_s = time.perf_counter() - start
    return (resident_kb() - before_kb) / (trials - first), reports_s, closing_s


def hold(folder, trials, tracked):
    """In a process of its own: bytes that Python holds after trials, all written."""
    tracking.CLOSING_WAIT_S = 3600.0
    name = f"held-{tracked}-{trials}"
    tracemalloc.start()
    uri = f"sqlite:///{folder}/{name}.db"
    side = Ours(folder, uri, name, tracked=tracked, timed=False)
    play(side, 0, trials)
    side.close()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def held(folder, trials, tracked):
    """Bytes that Python holds for a trial that has ended and is written."""
    sizes = (trials // 4, trials)
    few, many = (apart(hold, folder, size, tracked) for size in sizes)
    return round((many - few) / (sizes[1] - sizes[0]))


def growth(folder, trials, traced_trials):
    """The driver's memory, with the tracker and without it."""
    found = {}
    for tracked in (False, True):
        say(f"  {trials} trials, {'with' if tracked else 'without'} the tracker")
        found[tracked] = apart(grow, folder, trials, tracked)
    in_store = count(folder / "server.db", "many-True")
    assert in_store == trials * PER_TRIAL, f"{in_store} metrics of {trials} trials"
    (theirs_kb, reports_s, _), (ours_kb, _, closing_s) = found[False], found[True]
    return row(
        f"driver's memory a trial of {NUM_EPOCHS} epochs, {trials} trials: "
        "with the tracker over the record alone",
        ours_kb,
        theirs_kb,
        ours_kb / max(theirs_kb, SMALLEST_KB),
        1,
        unit="kB",
        closing_s=round(closing_s, 1),
        python_bytes=[
            held(folder, traced_trials, tracked) for tracked in (True, False)
        ],
        report_ms=[round(ms, 4) for ms in (median_ms(reports_s), p99_ms(reports_s))],
    )


def reopen(path, traced):
    """In a process of its own: a rebuilt journal's seconds, bytes held and at most."""
    if traced:
        tracemalloc.start()
    start = time.perf_counter()
    journal = Journal(EventLog(path), NUM_EPOCHS)
    seconds = time.perf_counter() - start
    gc.collect()
    return seconds, len(journal), tracemalloc.get_traced_memory()


def reread(journal):
    """Seconds to read every epoch of every trial."""
    start = time.perf_counter()
    for record in journal.records:
        dict(record.history)
    return time.perf_counter() - start


def rebuilding(folder, trials, turns):
    """What the next session needs to know all trials again, over reading JSON."""
    path = folder / "many-False.jsonl"
    parsed_s, opened_s, read_s = [], [], []
    for _ in range(turns):
        start = time.perf_counter()
        for line in path.read_bytes().splitlines():
            json.loads(line[: line.rindex(b"\t")])
        parsed_s.append(time.perf_counter() - start)
        opened_s.append(apart(reopen, path, False)[0])
        read_s.append(reread(Journal(EventLog(path), NUM_EPOCHS)))
    _, found, (size, peak) = apart(reopen, path, True)
    assert found == trials
    return ratio_row(
        f"a journal of {trials} trials x {NUM_EPOCHS} epochs rebuilt: "
        "over parsing its JSON",
        opened_s,
        parsed_s,
        ours="above",
        python_bytes=round(size / trials),
        peak_bytes=round(peak / trials),
        read_all_s=round(statistics.median(read_s), 3),
    )


def asked(uri, **query):
    """Seconds for one of the UI's searches, and the runs that it finds."""
    body = json.dumps({"order_by": ["attributes.start_time DESC"], **query}).encode()
    request = urllib.request.Request(
        f"{uri}/ajax-api/2.0/mlflow/runs/search",
        body,
        {"Content-Type": "application/json"},
    )
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        runs = json.load(answer)["runs"]
    return time.perf_counter() - start, runs


def pages(uri, name, trials):
    """What the UI asks for a study: the table's first page, the parent's children."""
    experiments = MlflowClient(uri).search_experiments()
    (experiment,) = [e.experiment_id for e in experiments if e.name == name]
    of_study = {"experiment_ids": [experiment]}
    _, (parent,) = asked(uri, filter="tags.`orthotune.kind` = 'study'", **of_study)
    children = f"tags.`mlflow.parentRunId` = '{parent['info']['run_id']}'"
    table_s, shown = asked(
        uri, run_view_type="ACTIVE_ONLY", max_results=100, **of_study
    )
    assert len(shown) == min(100, trials + 1)
    children_s, shown = asked(uri, filter=children, max_results=10, **of_study)
    assert len(shown) == 10
    return table_s, children_s


def loading(folder, trials, few, turns):
    """What the server needs for a large study's first page, against a small one's."""
    side = Ours(folder, f"sqlite:///{folder}/server.db", "few")
    play(side, 0, few)
    side.close()
    server = Server(folder)
    try:
        found = [
            (pages(server.uri, "many-True", trials), pages(server.uri, "few", few))
            for _ in range(turns + 1)
        ][1:]  # the first ones make the server's connections
    finally:
        server.kill()
    for k, page in enumerate(("table of runs", "parent run's children")):
        yield ratio_row(
            f"first page of the {page} in the UI, {trials} trials over {few}",
            [many[k] for many, _ in found],
            [small[k] for _, small in found],
            ours="above",
        )


def measures(*, quick=False):
    """Every row of this module."""
    trials, rays, turns, many = (16, 1, 1, 40) if quick else (100, 2, 5, 2000)
    traced = 40 if quick else 400  # tracing makes MLflow three times slower
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [(f"sqlite:///{folder}/{k}.db", folder / f"{k}.db") for k in "ab"]
        rows = [
            rates("SQLite", folder, files, turns, trials, rays),
            waiting("SQLite", folder, files, trials, rays),
        ]
        server = Server(folder / "server", workers=4)  # MLflow's default
        try:
            stores = 2 * [(server.uri, folder / "server" / "server.db")]
            rows += [
                rates("an MLflow server", folder, stores, turns, trials, rays),
                waiting("an MLflow server", folder, stores, trials, rays),
            ]
        finally:
            server.kill()
    with tempfile.TemporaryDirectory() as name:
        rows.append(growth(Path(name), many, traced))
        rows.append(rebuilding(Path(name), many, turns))
        rows += loading(Path(name), many, 20, turns)
    return rows
