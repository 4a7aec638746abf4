from types import SimpleNamespace

from orthotune.cluster import nodes
from orthotune.cluster.nodes import alive_nodes, as_started, gpus_of, name_of_node

HEAD = {
    "Alive": True,
    "NodeID": "abcdefgh",
    "NodeManagerAddress": "10.0.0.7",
    "Resources": {"CPU": 4.0},
}


def test_nodes_that_died_are_not_counted(monkeypatch):
    dead = {**HEAD, "Alive": False}
    ray = SimpleNamespace(nodes=lambda: [dead, HEAD, dead])
    monkeypatch.setattr(nodes, "ray", ray)
    assert alive_nodes() == [HEAD]


def test_two_nodes_of_one_address_have_two_names():
    other = {**HEAD, "NodeID": "12345678"}
    assert name_of_node(HEAD) == "10.0.0.7 (abcdef)"
    assert name_of_node(other) == "10.0.0.7 (123456)"


def test_a_node_without_gpus_promises_none():
    assert gpus_of(HEAD) == 0
    assert gpus_of({**HEAD, "Resources": {"GPU": 2.0}}) == 2


def test_only_a_relative_path_is_of_the_folder_a_worker_was_started_in(monkeypatch):
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", "/where/it/started")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert as_started("data") == "/where/it/started/data"
    assert as_started("/data") == "/data"
    assert as_started("~/data") == "/home/somebody/data"
    monkeypatch.delenv("TUNE_ORIG_WORKING_DIR")
    assert as_started("data") == "data"  # no worker: of the working directory
