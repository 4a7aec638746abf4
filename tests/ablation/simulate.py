"""How often intervals cover and tests reject, by repetition with known truth.

    python -m tests.ablation.simulate

prints what `orthotune.statistics.paired` says of Student's t and the bootstrap, and
what its tests do to differences that are not normal.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats

from orthotune.statistics.correction import holm
from orthotune.statistics.interim_looks import level_per_look, looks
from orthotune.statistics.paired import (
    Verdict,
    judge,
    paired,
)

ODDS = 0.001
"""How seldom a right procedure fails a bound of `most_often` or `least_often`."""


def most_often(repetitions, rate):
    """The most events in so many repetitions, but for ODDS, at this rate or less."""
    return stats.binom.ppf(1 - ODDS, repetitions, rate)


def least_often(repetitions, rate):
    return stats.binom.ppf(ODDS, repetitions, rate)


@dataclass(frozen=True)
class Rates:
    """Shares of the repetitions."""

    supported: float
    contradicted: float
    covered: float
    mean_n: float


def rates(samples, truth, *, against=0.0, ns=None, alpha=0.05):
    """One claim, looked at at each of `ns` until it is decided, on every row."""
    ns = ns or (samples.shape[1],)
    level = level_per_look(alpha, len(ns))
    ends = [_last_look(row, ns, level, against) for row in samples]
    verdicts = [verdict for verdict, _ in ends]
    intervals = [difference.interval for _, difference in ends]
    return Rates(
        supported=np.mean([v is Verdict.SUPPORTED for v in verdicts]),
        contradicted=np.mean([v is Verdict.CONTRADICTED for v in verdicts]),
        covered=np.mean([i.low <= truth <= i.high for i in intervals]),
        mean_n=np.mean([difference.n for _, difference in ends]),
    )


def _last_look(row, ns, level, against):
    for n in ns:
        difference = paired(row[:n], against=against, confidence=1 - level)
        verdict = judge(difference, difference.p, alpha=level)
        if verdict is not Verdict.UNDECIDED:
            break
    return verdict, difference


def family(arms, means, ns, alpha=0.05):
    """Verdicts on each arm minus arm 0, Holm-corrected, a decided claim left as it is.

    `arms` has shape (arm, seed).
    """
    level = level_per_look(alpha, len(ns))
    differences = arms[1:] + np.asarray(means)[:, None] - arms[0]
    found = [None] * len(differences)
    verdicts = [Verdict.UNDECIDED] * len(differences)
    for n in ns:
        for claim, row in enumerate(differences):
            if verdicts[claim] is Verdict.UNDECIDED:
                found[claim] = paired(row[:n])
        corrected = holm([difference.p for difference in found])
        for claim, (difference, p) in enumerate(zip(found, corrected, strict=True)):
            if verdicts[claim] is Verdict.UNDECIDED:
                verdicts[claim] = judge(difference, p, alpha=level)
    return verdicts


def coverage(samples, truth, num_resamples=1999):
    """Shares of rows whose 95 % interval holds the truth: Student's t, BCa.

    A row of equal numbers counts as not covered.
    """
    spread = np.ptp(samples, axis=1) > 0
    samples = samples[spread]
    t = stats.ttest_1samp(samples, 0, axis=1).confidence_interval(0.95)
    with warnings.catch_warnings():
        # Rows of two different values have resamples of one.
        warnings.simplefilter("ignore")
        blocks = np.array_split(samples, max(1, len(samples) // 20))
        bca = [_bca(block, num_resamples) for block in blocks]
    low, high = (np.concatenate(ends) for ends in zip(*bca, strict=True))
    return (
        np.sum((t.low <= truth) & (truth <= t.high)) / spread.size,
        np.sum((low <= truth) & (truth <= high)) / spread.size,
    )


def _bca(block, num_resamples):
    return stats.bootstrap(
        (block,), np.mean, axis=-1, vectorized=True, n_resamples=num_resamples, rng=0
    ).confidence_interval


def two_point(rng, rate, size):
    """An arm that mostly reaches 0.02 and at this rate ends near chance."""
    return np.where(rng.random(size) < rate, 0.9, 0.02)


def print_coverage(rng, repetitions=2000):
    kinds = {
        "normal": (rng.normal, 0.0),
        "exponential": (rng.exponential, 1.0),
        "lognormal": (rng.lognormal, np.exp(0.5)),
        "0.9 in 10 %": (lambda size: two_point(rng, 0.1, size), 0.02 + 0.1 * 0.88),
        "0.9 in 30 %": (lambda size: two_point(rng, 0.3, size), 0.02 + 0.3 * 0.88),
    }
    print(f"coverage of 95 % intervals, {repetitions} repetitions: t, BCa")
    for name, (draw, truth) in kinds.items():
        for n in (5, 10, 20, 30, 50):
            t, bca = coverage(draw(size=(repetitions, n)), truth)
            print(f"  {name:12} n = {n:2}  {100 * t:5.1f} %  {100 * bca:5.1f} %")


def print_rejections(rng, repetitions=2000):
    def skewed(size):
        return rng.exponential(size=size) - 1

    def with_divergence(size):
        """Both arms diverge one time in five, each for itself."""
        noise = rng.normal(scale=0.02, size=size)
        return noise + two_point(rng, 0.2, size) - two_point(rng, 0.2, size)

    def one_sided(size):
        """One arm alone diverges, one time in five; its mean makes up for it."""
        return two_point(rng, 0.2, size) - 0.02 - 0.2 * 0.88 + rng.normal(0, 0.02, size)

    kinds = {
        "normal": lambda size: rng.normal(size=size),
        "t, 2 degrees": lambda size: rng.standard_t(2, size=size),
        "both diverge": with_divergence,
        "exponential": skewed,
        "one diverges": one_sided,
    }
    print(f"\ntrue mean difference 0, level 5 %, {repetitions} repetitions")
    for name, draw in kinds.items():
        for ns in ((5,), (10,), (12,), (20,), (30,), looks(5, 30)):
            found = rates(draw((repetitions, ns[-1])), 0.0, ns=ns)
            print(
                f"  {name:12} n = {'-'.join(map(str, ns)):12} "
                f"supported {100 * found.supported:4.1f} %, "
                f"contradicted {100 * found.contradicted:4.1f} %, "
                f"covered {100 * found.covered:5.1f} %, mean n {found.mean_n:4.1f}"
            )


if __name__ == "__main__":
    print_coverage(np.random.default_rng(1))
    print_rejections(np.random.default_rng(2))
