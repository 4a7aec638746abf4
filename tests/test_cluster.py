"""A search on a cluster of real processes: nodes die and join, so does the driver.

MLflow runs on PostgreSQL where that is installed, and the storage is an object store.
"""

import contextlib
import os
import re
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests import namespaces
from tests.crashes import (
    HANGING_S,
    Cluster,
    Server,
    Workplace,
    assert_mlflow_agrees,
    ended,
    kill_driver,
    read_trials,
)
from tests.object_store import KEYS, ObjectStore
from tests.postgres import PASSWORD, Postgres, tools

pytestmark = pytest.mark.ray

SETTINGS = ("max_concurrent=3", "max_epochs=24", "grace_epochs=6")
MORE = [word for one in SETTINGS for word in ("--set", f"search.{one}")]


@pytest.fixture
def places(request, tmp_path, monkeypatch):
    """Hosts or one, a cluster of three nodes, and the arguments that name services."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    hosts = namespaces.Hosts(5) if request.param == "hosts" else None
    here = hosts.outside if hosts else "127.0.0.1"
    with contextlib.ExitStack() as stack:
        if hosts:
            stack.callback(hosts.remove)
        store = ObjectStore(here)
        stack.callback(store.stop)
        database = Postgres() if tools() else None
        if database:
            stack.callback(database.stop)
        uri = database.uri if database else None
        server = Server(tmp_path / "mlflow", store=uri, host=here)
        stack.callback(server.kill)
        cluster = Cluster(nodes=3, hosts=hosts)
        stack.callback(cluster.stop)
        arguments = ("--storage", store.uri, "--tracking-uri", server.uri)
        yield hosts, cluster, server, store, arguments


def until(condition, process, limit_s=HANGING_S):
    end = time.monotonic() + limit_s
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


PLANTED = (KEYS["AWS_SECRET_ACCESS_KEY"], PASSWORD)


def secrets_in(folder):
    """Files that hold a planted secret."""
    paths = [Path(at, name) for at, _, names in os.walk(folder) for name in names]
    secrets = [one.encode() for one in PLANTED]
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # of a Ray that lives
            content = path.read_bytes() if path.is_file() else b""
            found += [str(path) for one in secrets if one in content]
    return found


def secrets_told(uri):
    """What MLflow's server says of the runs, where that holds a planted secret."""
    client = MlflowClient(uri)
    (found,) = client.search_experiments(filter_string="name = 'killed'")
    runs = client.search_runs([found.experiment_id])
    said = [str(run.to_dictionary()) for run in runs]
    assert any("orthotune.kind" in text for text in said)
    return [text for text in said if any(one in text for one in PLANTED)]


@pytest.mark.parametrize(
    "places",
    [
        "one",
        pytest.param(
            "hosts",
            marks=[
                pytest.mark.soak,
                pytest.mark.skipif(
                    not namespaces.possible(),
                    reason="needs root and network namespaces",
                ),
            ],
        ),
    ],
    indirect=True,
)
def test_nodes_and_the_driver_die_and_the_study_completes(places, tmp_path):
    hosts, cluster, server, store, arguments = places
    more = (*arguments, "--address", cluster.address, *MORE)
    endless = ("--set", "search.num_trials=1000")  # whatever is fast or slow
    on = hosts.on(0) if hosts else ()
    first = Workplace(tmp_path / "first", *more, *endless, on=on)
    process = first.start()
    until(lambda: all(cluster.busy()), process)  # trials are on all nodes
    first.wait_for("epoch", 4, process)
    cluster.kill_node(1)
    first.wait_for("epoch", first.events("epoch") + 4, process)
    cluster.add_node()
    until(lambda: cluster.busy()[3], process)  # and on the one that has joined
    kill_driver(process)

    on = hosts.on(4) if hosts else ()  # the node that has joined
    elsewhere = Workplace(tmp_path / "elsewhere", *more, on=on)
    process = elsewhere.start()
    out, err = ended(process)
    assert process.returncode == 0, err
    trials = elsewhere.trials()
    assert len(trials) >= 8  # as many as the study asks for, or were begun
    assert [trial["number"] for trial in trials] == list(range(len(trials)))
    assert {t["status"] for t in trials} <= {"finished", "stopped", "diverged"}
    for trial in trials:  # every epoch once, none left out
        assert list(map(int, trial["history"])) == list(
            range(1, len(trial["history"]) + 1)
        )
    assert_mlflow_agrees(elsewhere, server.uri)
    assert re.search(r"versions +orthotune|versions +python", err)  # the preflight
    assert "driver.json" not in " ".join(store.names())
    assert not secrets_in(tmp_path / "first")
    assert not secrets_in(tmp_path / "elsewhere")
    assert not secrets_in(tmp_path / "mlflow")  # artifacts, and its own log
    assert not secrets_in(cluster.folder)  # what Ray wrote on its nodes
    assert not secrets_told(server.uri)
    assert not [one for one in PLANTED if one in out + err]
    if hosts:  # every node by an address of its own
        assert {hosts.address(n) for n in (0, 1, 3, 4)} <= set(err.split())


@pytest.mark.soak
def test_two_studies_on_one_cluster_do_not_see_each_other(tmp_path):
    """Each has its own name, and settings under which its trials have other results."""
    alone = Workplace(tmp_path / "alone", "--set", "search.num_trials=3")
    alone.finish()
    cluster = Cluster(nodes=2)
    server = Server(tmp_path / "mlflow")
    more = ("--address", cluster.address, "--tracking-uri", server.uri)
    more += ("--set", "search.num_trials=3")
    works = [
        Workplace(tmp_path / "same", *more),
        Workplace(tmp_path / "other", *more, "--set", "search.seed=9"),
    ]
    works[1].more += ("--name", "another")
    try:
        started = [work.start() for work in works]
        said = [ended(process) for process in started]
    finally:
        cluster.stop()
        server.kill()
    for process, (_, err) in zip(started, said, strict=True):
        assert process.returncode == 0, err
    assert works[0].trials() == alone.trials()
    other = read_trials(tmp_path / "other" / "studies" / "another" / "trials.jsonl")
    assert len(other) == 3
    keys = [{trial["key"] for trial in trials} for trials in (alone.trials(), other)]
    assert not keys[0] & keys[1]
