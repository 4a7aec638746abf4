"""What a measure says: one row, taken within one run, both sides in turns."""

import json
import statistics
import sys
from collections.abc import Sequence


def row(measure, ours, reference, ratio, n, *, target=None, spread=None, **more):
    """One measure.

    Args:
        measure: What was measured, in words.
        ours: Ours, in the unit that `more["unit"]` names (seconds if it does not).
        reference: What it is compared with, likewise.
        ratio: How the two compare; the measure's words say which way.
        n: How many times each was taken.
        target: Where the ratio should land, as text: `>= 2`.
        spread: The ratio's quartiles [25 %, 75 %], where there are several.
        more: Anything else worth keeping.
    """
    found = {
        "measure": measure,
        "ours": _short(ours),
        "reference": _short(reference),
        "ratio": _short(ratio),
        "n": n,
    }
    if spread is not None:
        found["spread"] = [_short(value) for value in spread]
    if target is not None:
        found["target"] = target
    return found | more


def ratio_row(measure, above: Sequence, below: Sequence, *, ours, **more):
    """A row from values taken in turns: the ratios turn by turn, and their median.

    Args:
        measure: What was measured.
        above: Values of one side, in seconds or what `more["unit"]` names.
        below: Those of the other; the ratio is above / below.
        ours: Which of the two is ours, "above" or "below".
        more: As in `row`.
    """
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    mine, theirs = (above, below) if ours == "above" else (below, above)
    return row(
        measure,
        statistics.median(mine),
        statistics.median(theirs),
        statistics.median(ratios),
        len(ratios),
        spread=quartiles(ratios),
        **more,
    )


def quartiles(values):
    """The first and the third; of a single value, that value twice."""
    found = statistics.quantiles(values, n=4) if len(values) > 1 else values
    return [found[0], found[-1]]


def say(text):
    """Progress, on stderr: what is measured now."""
    print(text, file=sys.stderr, flush=True)


def show(rows):
    """A table for people, then one JSON line a measure."""
    for item in rows:
        target = f"  (should be {item['target']})" if "target" in item else ""
        print(f"{item['ratio']:9.3g}  {item['measure']}{target}")
    for item in rows:
        print(json.dumps(item))


def _short(value):
    return float(f"{value:.4g}")
