"""Whether Ray is there: with a listening socket for its head, and no Ray."""

import socket
import threading
from types import SimpleNamespace

import pytest

from orthotune.cluster import ray_health
from orthotune.cluster.ray_health import RayHealth
from orthotune.errors import RayLostError

GUARD_S = 60  # against hanging only


class Ray:
    """A head that can be closed, and its nodes."""

    def __init__(self):
        self.head = socket.create_server(("127.0.0.1", 0))
        self.nodes = ["mine", "other"]
        self.asked = threading.Event()

    def alive_nodes(self):
        self.asked.set()
        return [{"NodeID": name} for name in self.nodes]

    @property
    def context(self):
        address = f"127.0.0.1:{self.head.getsockname()[1]}"
        return SimpleNamespace(gcs_address=address, get_node_id=lambda: "mine")


@pytest.fixture
def fake_ray(monkeypatch):
    found = Ray()
    monkeypatch.setattr(ray_health.ray, "get_runtime_context", lambda: found.context)
    monkeypatch.setattr(ray_health, "alive_nodes", found.alive_nodes)
    monkeypatch.setattr(ray_health, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(ray_health, "WAKE_EVERY_S", 0.005)
    yield found
    found.head.close()


@pytest.fixture
def stuck():
    """A call that waits for Ray until the test is over."""
    over = threading.Event()
    yield lambda: over.wait(GUARD_S)
    over.set()


def test_a_call_that_ends_is_over(fake_ray):
    done = []
    RayHealth(own=True).call(lambda: done.append(threading.current_thread()))
    assert done
    assert done[0] is not threading.main_thread()


def test_an_error_of_the_call_is_the_callers(fake_ray):
    def fail():
        raise KeyError("a trial")

    with pytest.raises(KeyError, match="a trial"):
        RayHealth(own=True).call(fail)


def test_a_call_that_takes_long_is_waited_for_while_ray_is_well(fake_ray, monkeypatch):
    monkeypatch.setattr(ray_health, "PATIENCE_S", 30.0)
    monkeypatch.setattr(ray_health, "PATIENCE_OWN_S", 30.0)
    asked = 0

    def work():
        nonlocal asked
        while asked < 20:
            assert fake_ray.asked.wait(GUARD_S)
            fake_ray.asked.clear()
            asked += 1

    RayHealth(own=True).call(work)
    assert asked == 20


def test_an_own_head_that_is_gone_is_lost_soon(fake_ray, stuck, monkeypatch):
    monkeypatch.setattr(ray_health, "PATIENCE_OWN_S", 0.05)
    monkeypatch.setattr(ray_health, "PATIENCE_S", 1e9)
    health = RayHealth(own=True)
    fake_ray.head.close()
    with pytest.raises(RayLostError, match=r"its head on 127\.0\.0\.1 does not answer"):
        health.call(stuck)


def test_the_head_of_a_cluster_is_given_time_to_start_again(
    fake_ray, stuck, monkeypatch
):
    monkeypatch.setattr(ray_health, "PATIENCE_OWN_S", 0.0)
    monkeypatch.setattr(ray_health, "PATIENCE_S", 0.3)
    health = RayHealth(own=False)
    fake_ray.head.close()
    waits = []
    whole = health._problem

    def problem(silent_s):
        waits.append(silent_s)
        return whole(silent_s)

    health._problem = problem
    with pytest.raises(RayLostError, match="does not answer"):
        health.call(stuck)
    assert len(waits) >= 0.3 / 0.01  # none counts for more than the time of a look
    assert waits[-1] > 0.3


def test_a_head_that_never_answers_is_lost(fake_ray, stuck, monkeypatch):
    """One that takes connections, and is asked for its nodes in vain."""
    monkeypatch.setattr(ray_health, "PATIENCE_S", 0.05)
    monkeypatch.setattr(ray_health, "alive_nodes", stuck)
    with pytest.raises(RayLostError, match="does not answer"):
        RayHealth(own=True).call(stuck)


def test_a_node_of_this_machine_that_died_is_lost(fake_ray, stuck):
    fake_ray.nodes.remove("mine")
    with pytest.raises(RayLostError, match="its node on this machine has died"):
        RayHealth(own=True).call(stuck)


def test_a_process_that_was_stopped_has_not_waited(fake_ray, monkeypatch):
    """Ctrl-Z for an hour: the clock jumps, and Ray has had no time to answer."""
    monkeypatch.setattr(ray_health, "PATIENCE_S", 5.0)
    hours = iter(range(0, 3600 * 100, 3600))
    clock = SimpleNamespace(monotonic=lambda: next(hours))
    monkeypatch.setattr(ray_health, "time", clock)
    checked_nodes = threading.Event()
    monkeypatch.setattr(
        ray_health, "alive_nodes", lambda: checked_nodes.set() or [{"NodeID": "mine"}]
    )
    RayHealth(own=True).call(lambda: checked_nodes.wait(GUARD_S))
