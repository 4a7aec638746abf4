"""python -m tests.benchmarks: every measure, as ratios within one run.

Prints progress on stderr, then a table and one JSON line a measure. `--only` names the
modules beside this file that are wanted.
"""

import argparse
import importlib
import time

from orthotune.text import duration
from tests.benchmarks.rows import say, show

MODULES = (
    "step",
    "together",
    "platform",
    "tracking",
    "trials",
    "slots",
    "search",
    "streaming",
    "equivalence",
)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES)
    parser.add_argument("--quick", action="store_true", help="fewer turns: does it run")
    options = parser.parse_args()
    rows = []
    for name in options.only:
        start = time.monotonic()
        say(f"{name} ...")
        module = importlib.import_module(f"tests.benchmarks.{name}")
        rows += module.measures(quick=options.quick)
        say(f"{name}: {duration(time.monotonic() - start)}")
    show(rows)


if __name__ == "__main__":
    main()
