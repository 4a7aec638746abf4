"""Contenders that take turns, each in a process of its own.

A slow spell of the machine hits all of them, and none inherits another's heap, threads
or caches.
"""

import contextlib
import multiprocessing
import time


@contextlib.contextmanager
def contenders(makers):
    """Processes ready to run, by name.

    Args:
        makers: By name, a function and its arguments; called in the new process, it
            makes the function of no arguments that is timed.
    """
    context = multiprocessing.get_context("spawn")
    ends, processes = {}, []
    try:
        for name, (maker, arguments) in makers.items():
            ends[name], theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, maker, arguments), daemon=True
            )
            process.start()
            processes.append(process)
            theirs.close()
        for end in ends.values():
            end.recv()  # it is ready
        yield ends
    finally:
        for process in processes:
            process.terminate()
            process.join()


def take_turns(ends, turns, *, warm_up=1):
    """Seconds of every turn, by name; the first turns pay for what is done once."""
    seconds = {name: [] for name in ends}
    for turn in range(warm_up + turns):
        for name, end in ends.items():
            end.send("go")
            spent = end.recv()
            if turn >= warm_up:
                seconds[name].append(spent)
    return seconds


def _serve(end, maker, arguments):
    run = maker(**arguments)
    end.send("ready")
    while True:
        end.recv()
        start = time.perf_counter()
        run()
        end.send(time.perf_counter() - start)
