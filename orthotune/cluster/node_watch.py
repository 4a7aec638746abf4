"""Nodes that join a cluster while a study runs there are looked at like the first ones.

A cluster that is scaled by its load often begins with a head alone: then all that train
have joined later.
"""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from orthotune.cluster.node_checks import Check, refuse
from orthotune.cluster.nodes import alive_nodes, name_of_node
from orthotune.cluster.preflight import NO_ANSWER
from orthotune.console import note
from orthotune.errors import StudyError, unfit_node
from orthotune.storage.redaction import last_line

WATCH_S = 5.0
LAST_LOOK_S = 10.0
"""How long the end of a session waits for a look to be over."""

Look = Callable[[Sequence[Mapping[str, Any]]], Sequence[Check]]
"""Checks some nodes."""


@contextlib.contextmanager
def watched_nodes(
    known: Collection[str], look: Look, lose: Callable[[StudyError], None]
) -> Iterator[None]:
    """Look at every node that joins, and end the study if one is not fit for it.

    What such a node gave would be another network's, or nothing: better no result than
    that one, since the same command continues the study. One that does not answer in
    time is asked again: no trial can run there either.

    Args:
        known: The ids of the nodes that were looked at.
        look: What is asked of a node.
        lose: Told why the study cannot go on; called from a thread.
    """
    over = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(set(known), look, lose, over), daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join(LAST_LOOK_S)


def _watch(
    known: set[str],
    look: Look,
    lose: Callable[[StudyError], None],
    over: threading.Event,
) -> None:
    said = ""
    while not over.wait(WATCH_S):
        try:
            joined = [node for node in alive_nodes() if node["NodeID"] not in known]
            checks = look(joined) if joined else []
        except Exception as err:  # Ray's own, of many kinds, as when it ends
            if not over.is_set() and last_line(err) != said:
                said = last_line(err)
                note(f"nodes that join cannot be looked at ({said}).")
            continue
        silent = {check.node for check in checks if check.found == NO_ANSWER}
        checks = [check for check in checks if check.node not in silent]
        known |= {n["NodeID"] for n in joined if name_of_node(n) not in silent}
        for name in dict.fromkeys(check.node for check in checks):
            note(f"{name} has joined the cluster.")
        try:
            refuse(checks)
        except StudyError as err:
            lose(unfit_node(str(err)))
            return
