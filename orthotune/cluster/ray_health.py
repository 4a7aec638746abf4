"""Watches the Ray that this process is connected to while a call waits for it.

A driver whose Ray has died waits for it inside Ray's own code, where no signal reaches
it, and is aborted there after a minute. So what may wait for Ray runs in a thread, and
the main one looks: it can close what must be closed, and say how to go on.
"""

import socket
import threading
import time
from collections.abc import Callable

import ray

from orthotune.cluster.nodes import alive_nodes
from orthotune.errors import RayLostError

LOOK_EVERY_S = 1.0
WAKE_EVERY_S = 0.1
"""How often a waiting main thread comes up, for signals."""
PATIENCE_S = 40.0
"""How long a head may be silent, as while that of a cluster is started again. Ray
aborts the driver after 60."""
PATIENCE_OWN_S = 3.0
"""The same of a head on this machine that refuses connections: nobody starts it."""


class RayHealth:
    """Watches the Ray that this process is connected to.

    Args:
        own: Whether it was started by this process.
    """

    def __init__(self, *, own: bool) -> None:
        context = ray.get_runtime_context()
        host, _, port = context.gcs_address.rpartition(":")
        self._head = host.strip("[]"), int(port)  # of IPv6
        self._node = context.get_node_id()
        self._own = own
        self._answers = 0
        self._refused = False
        self._node_died = False

    def call(self, function: Callable[[], object]) -> None:
        """Call a function that may wait for Ray; return when it does.

        Raises:
            RayLostError: If Ray is lost meanwhile; the call may then never return.
            Exception: What the function raises.
        """
        errors: list[BaseException] = []
        over = threading.Event()

        def work() -> None:
            try:
                function()
            except BaseException as err:  # raised again where it is waited for
                errors.append(err)
            finally:
                over.set()

        for target in (work, lambda: self._look(over)):
            threading.Thread(target=target, daemon=True).start()
        self._wait(over)
        if errors:
            raise errors[0]

    def _wait(self, over: threading.Event) -> None:
        silent_s, answers, before = 0.0, self._answers, time.monotonic()
        while not over.wait(WAKE_EVERY_S):
            now = time.monotonic()
            # A process that was stopped for an hour (Ctrl-Z) has not waited for one.
            silent_s += min(now - before, LOOK_EVERY_S)
            before = now
            if answers != self._answers:
                silent_s, answers = 0.0, self._answers
            problem = self._problem(silent_s)
            if problem:
                raise RayLostError(
                    f"Ray must stay up while a study runs, but {problem}. What is done "
                    "is kept; the same command continues."
                )

    def _problem(self, silent_s: float) -> str:
        """What is wrong with Ray, as far as was seen; nothing if it seems well."""
        if self._node_died:
            return "its node on this machine has died"
        dead = self._own and self._refused
        if silent_s > (PATIENCE_OWN_S if dead else PATIENCE_S):
            return f"its head on {self._head[0]} does not answer any more"
        return ""

    def _look(self, over: threading.Event) -> None:
        while not over.wait(LOOK_EVERY_S):
            try:
                socket.create_connection(self._head, timeout=LOOK_EVERY_S).close()
                # It waits for the head, too: if that dies just now, for ever.
                names = {node["NodeID"] for node in alive_nodes()}
            except Exception as err:  # of sockets, and of Ray without a common base
                self._refused = isinstance(err, ConnectionRefusedError)
                continue
            self._node_died = self._node not in names
            self._refused = False
            self._answers += 1
