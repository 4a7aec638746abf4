"""Nodes that join a study that runs are looked at; one that is not fit ends it."""

import threading

import pytest

from orthotune.cluster import node_watch as joining
from orthotune.cluster.node_checks import Check
from orthotune.cluster.node_watch import watched_nodes
from orthotune.cluster.preflight import NO_ANSWER
from orthotune.errors import StudyStoppedError

WAIT_S = 120


@pytest.fixture
def cluster(monkeypatch):
    """The ids of the nodes there are."""
    ids = ["head"]
    nodes = lambda: [{"NodeID": name} for name in ids]  # noqa: E731
    monkeypatch.setattr(joining, "alive_nodes", nodes)
    monkeypatch.setattr(joining, "name_of_node", lambda node: node["NodeID"])
    monkeypatch.setattr(joining, "WATCH_S", 0.01)
    return ids


class Looks:
    """Looks at nodes, and says of them what it was told."""

    def __init__(self, **problems):
        self.problems = problems
        self.seen = []
        self.checked_nodes = threading.Semaphore(0)

    def __call__(self, nodes):
        names = [node["NodeID"] for node in nodes]
        self.seen.append(names)
        failure = self.problems.get(names[0], "")
        self.checked_nodes.release()
        if isinstance(failure, Exception):
            raise failure
        checks = ("versions", "disk")
        return [
            Check(node=name, name=check, found="", problem=failure)
            for name in names
            for check in checks
        ]


def test_every_node_that_joins_is_looked_at_once(cluster, capsys):
    looks, lost = Looks(), []
    with watched_nodes({"head"}, looks, lost.append):
        cluster += ["one", "two"]
        assert looks.checked_nodes.acquire(timeout=WAIT_S)
        cluster.remove("one")
        cluster.append("three")
        assert looks.checked_nodes.acquire(timeout=WAIT_S)
        assert not looks.checked_nodes.acquire(timeout=0.1)
    assert {name for names in looks.seen for name in names} == {"one", "two", "three"}
    assert not lost
    assert capsys.readouterr().err.count("three has joined the cluster.\n") == 1


def test_a_node_that_is_not_fit_ends_the_study(cluster):
    looks, lost, told = Looks(other="other must have torch 2. Install it."), [], None
    told = threading.Event()

    def lose(err):
        lost.append(err)
        told.set()

    with watched_nodes(["head"], looks, lose):
        cluster.append("other")
        assert told.wait(WAIT_S)
    (err,) = lost
    assert isinstance(err, StudyStoppedError)
    assert str(err) == (
        "other must have torch 2. Install it. (And 1 check more.) Or take the node out "
        "of the cluster. What is done is kept; the same command continues then."
    )


def test_a_look_that_fails_is_said_and_repeated(cluster, capsys):
    looks, lost = Looks(late=RuntimeError("no answer")), []
    with watched_nodes(["head"], looks, lost.append):
        cluster.append("late")
        for _ in range(2):
            assert looks.checked_nodes.acquire(timeout=WAIT_S)
        looks.problems.clear()
        assert looks.checked_nodes.acquire(timeout=WAIT_S)
    assert not lost
    said = capsys.readouterr().err
    assert "nodes that join cannot be looked at (no answer).\n" in said


def test_a_node_that_is_slow_is_asked_again(cluster):
    looks, lost, asked = Looks(), [], []

    def look(nodes):
        asked.append(len(asked))
        if len(asked) < 3:
            found = {"found": NO_ANSWER, "problem": "slow must answer."}
            return [Check(node="slow", name="answer", **found)]
        return looks(nodes)

    with watched_nodes(["head"], look, lost.append):
        cluster.append("slow")
        assert looks.checked_nodes.acquire(timeout=WAIT_S)
        assert not looks.checked_nodes.acquire(timeout=0.1)
    assert looks.seen == [["slow"]]
    assert not lost
