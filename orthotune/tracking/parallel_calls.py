"""The same call for many items, several at once."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def call_in_parallel(
    call: Callable[[Item], None], items: Iterable[Item], num_threads: int
) -> None:
    """Call for every item, in so many threads; after an error begin no more.

    The threads are daemons, unlike an executor's: a call that hangs must not keep the
    process from ending.

    Args:
        call: What is called.
        items: The items, begun in their order.
        num_threads: Calls at once, the caller's own thread among them.

    Raises:
        Exception: The first that a call raised, when all that had begun have ended.

    Example:
        >>> squares = {}
        >>> call_in_parallel(lambda n: squares.update({n: n * n}), range(4), 2)
        >>> sorted(squares.items())
        [(0, 0), (1, 1), (2, 4), (3, 9)]
    """
    left = deque(items)
    errors: list[Exception] = []

    def work() -> None:
        while left and not errors:
            try:
                item = left.popleft()
            except IndexError:  # another thread took the last
                return
            try:
                call(item)
            except Exception as err:
                errors.append(err)

    others = min(num_threads, len(left)) - 1
    threads = [threading.Thread(target=work, daemon=True) for _ in range(others)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
