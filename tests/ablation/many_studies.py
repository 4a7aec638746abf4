"""Whole ablations by the thousand, as arrays: the rules of verdicts written once more.

    python -m tests.benchmarks --only equivalence

has the table that this gives at full size.
"""

import numpy as np
from scipy import stats

from orthotune.statistics.interim_looks import level_per_look

UNDECIDED, SUPPORTED, CONTRADICTED, EQUIVALENT = range(4)


def ended(differences, ns, margin, *, against=0.0, alpha=0.05):
    """Verdicts and intervals of the claims of many studies, by t tests alone.

    Args:
        differences: `(studies, claims, seeds)`.
        ns: Numbers of seeds at which a study is looked at.
        margin: The smallest effect; 0 for none.
        against: What every claim says the difference is above.
        alpha: Level of all looks together.

    Returns:
        Verdicts, `(studies, claims)`; the lower and upper ends of the intervals at the
        look that decided, or the last; the seeds used.
    """
    level = level_per_look(alpha, len(ns))
    shape = differences.shape[:2]
    verdicts, used = np.zeros(shape, int), np.zeros(shape, int)
    ps, qs, lows, highs = (np.ones(shape) for _ in range(4))
    for n in ns:
        active = verdicts == UNDECIDED
        seen = differences[..., :n]
        mean, error = seen.mean(-1), stats.sem(seen, axis=-1)
        p = 2 * stats.t.sf(np.abs(mean - against) / error, n - 1)
        below = stats.t.cdf((mean - margin) / error, n - 1)
        above = stats.t.sf((mean + margin) / error, n - 1)
        q = np.maximum(below, above) if margin else np.ones(shape)
        half = stats.t.isf(level / 2, n - 1) * error
        now = (p, q, mean - half, mean + half, np.full(shape, n))
        kept = (ps, qs, lows, highs, used)
        ps, qs, lows, highs, used = (
            np.where(active, new, old) for new, old in zip(now, kept, strict=True)
        )
        side = np.where(mean > against, SUPPORTED, CONTRADICTED)
        alike = np.where(holm_rows(qs) <= level, EQUIVALENT, UNDECIDED)
        found = np.where(holm_rows(ps) <= level, side, alike)
        verdicts = np.where(active, found, verdicts)
    return verdicts, lows, highs, used


def holm_rows(ps):
    """Holm's correction of every row."""
    order = np.argsort(ps, axis=-1)
    ranked = np.take_along_axis(ps, order, -1) * np.arange(ps.shape[-1], 0, -1)
    corrected = np.minimum(np.maximum.accumulate(ranked, -1), 1)
    back = np.empty_like(ps)
    np.put_along_axis(back, order, corrected, -1)
    return back


def drawn(rng, studies, truths, seeds, sd=1.0):
    """Normal differences `(studies, claims, seeds)` around the true ones.

    They depend on each other as those of arms that are compared with one reference.
    """
    own = rng.normal(0, sd / np.sqrt(2), (studies, len(truths), seeds))
    reference = rng.normal(0, sd / np.sqrt(2), (studies, 1, seeds))
    return own - reference + np.asarray(truths, float)[:, None]
