"""How many trials may be under way, as nodes come and go."""

from types import SimpleNamespace

import pytest

from orthotune.cluster import resources as room
from orthotune.cluster.gpu_sharing import GpuShares
from orthotune.cluster.resources import ResourceAllocation


@pytest.fixture
def count(monkeypatch):
    """What slots there are, and how often that is asked."""
    found = {"slots": 8, "asked": 0}

    def slots(cpus, gpus):
        assert (cpus, gpus) == (2, 0.5)
        found["asked"] += 1
        return found["slots"]

    monkeypatch.setattr(room, "slots", slots)
    monkeypatch.setattr(room, "COUNT_EVERY_S", 1e9)
    return found


def of(may_grow):
    return ResourceAllocation(shares=GpuShares(default=0.5), cpus=2, may_grow=may_grow)


def test_on_one_machine_as_many_as_run(count):
    here = of(may_grow=False)
    assert [here.limit() for _ in range(100)] == [8] * 100
    assert count["asked"] == 1  # by a searcher that is asked ten times a second
    count["slots"] = 0
    assert of(may_grow=False).limit() == 1  # or nothing would ever run


@pytest.mark.parametrize(("slots", "limit"), [(0, 1), (1, 2), (8, 11), (64, 81)])
def test_on_a_cluster_some_wait_so_that_it_grows(count, slots, limit):
    count["slots"] = slots
    assert of(may_grow=True).limit() == limit


def test_nodes_that_join_are_counted(count, monkeypatch):
    monkeypatch.setattr(room, "COUNT_EVERY_S", 0.0)
    there = of(may_grow=True)
    assert there.limit() == 11
    count["slots"] = 16
    assert there.limit() == 21


@pytest.mark.parametrize("joined", [False, True])
def test_a_cluster_that_can_hold_no_trial_is_told(count, capsys, monkeypatch, joined):
    """Or it would look as if nothing happened; its autoscaler may be at work."""
    count["slots"] = int(joined)
    for name, found in {
        "alive_nodes": [],
        "preflight": [],
        "table": "",
        "requirements_of": None,
        "shares_on_cluster": GpuShares(default=0.5),
    }.items():
        monkeypatch.setattr(room, name, lambda *_a, found=found, **_how: found)
    settings = SimpleNamespace(resources=SimpleNamespace(cpus=2))
    study = SimpleNamespace(settings=settings)
    room.allocate_resources(study, "s3://bucket", {}, may_grow=True)
    line = (
        "orthotune: no node can hold a trial: it needs 2 CPU cores and 0.5 GPUs. "
        "Trials wait until one joins.\n"
    )
    nodes = "orthotune: the nodes of the cluster:\n\n"
    assert capsys.readouterr().err == nodes + ("" if joined else line)
