"""What can be concluded from a metric of arms that were trained with the same seeds.

Pure functions on numbers. An arm is one configuration, a replicate is one seed of it;
`n` counts replicates, or pairs of them. Replicate `i` of every arm has seed `i`, so
arms are compared by their differences, in which what the seed does to both drops out.
A diverged replicate is a result: it comes with the worst value of the metric.
"""

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Array = NDArray[np.float64]
Cell = tuple[int, ...]
"""The level index of every factor, counted from 0."""

ROUNDING = 1e-12
"""Numbers closer than this (relative, from 1 on) are equal: metrics are of order one
in double precision, and 0.31 - 0.30 is not 0.11 - 0.10 to the last bit."""

MOST_ENUMERATED = 40
"""The largest n of the exact test: 2**40 sums, as 2**20 against 2**20 others."""

QUADRATURE_POINTS = 2000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval, both ends included.

    Args:
        low: Lower end.
        high: Upper end.
    """

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """One arm by itself.

    Args:
        n: Number of replicates.
        mean: Mean of the metric.
        sd: Standard deviation with n - 1 below; None for n = 1.
        interval: Student's t interval of the mean; None for n = 1.
        num_diverged: Number of replicates that diverged.
        divergence_interval: Exact (Clopper-Pearson) interval of the divergence rate.
    """

    n: int
    mean: float
    sd: float | None
    interval: Interval | None
    num_diverged: int
    divergence_interval: Interval


class PairedTest(StrEnum):
    """How a p-value came about."""

    T = "paired t test"
    SIGN_FLIP = "sign-flip permutation test"
    NONE = "no test"


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The differences of two arms, seed by seed.

    Args:
        n: Number of pairs.
        mean: Mean difference.
        sd: Standard deviation of the differences, n - 1 below; None for n = 1.
        interval: Student's t interval of the mean difference; None for n = 1.
        against: The mean difference under the null hypothesis.
        p: Two-sided p-value of that hypothesis, not corrected; None for n = 1.
        test: The test it is from.
        superiority: Share of the differences above 0, ties counted half.
    """

    n: int
    mean: float
    sd: float | None
    interval: Interval | None
    against: float
    p: float | None
    test: PairedTest
    superiority: float


class Verdict(StrEnum):
    """What the data say to the claim that a mean difference is above a number."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A main effect or a two-way interaction of a factorial design.

    Args:
        steps: One (factor, level) for a main effect, two for an interaction: the index
            of the factor, and the level that is compared with its level 0.
        values: One number a seed, for `paired`.
    """

    steps: tuple[tuple[int, int], ...]
    values: tuple[float, ...]


def summarize(
    values: Sequence[float] | Array,
    diverged: Sequence[bool],
    *,
    confidence: float = 0.95,
) -> ArmSummary:
    """Mean, spread and divergence rate of one arm.

    The interval of the mean is Student's t at every n. The bootstrap (BCa) was measured
    beside it and is not used: at n = 5 it covers 85 % where t covers 96 % (normal
    data), 78 % where t covers 86 % (exponential), and up to n = 50 it is nowhere ahead
    by more than 1 point; `python -m tests.ablation.simulate` prints the table.

    Neither is honest about an outcome that was not seen: five replicates of an arm
    that diverges one time in ten are all well in 59 % of the cases, and their interval
    knows nothing of the tenth. `divergence_interval` does: read both.

    Args:
        values: The metric of every replicate, n numbers.
        diverged: Whether each of them diverged.
        confidence: Of both intervals.

    Returns:
        The summary; equal values have a standard deviation of 0 and an interval of
        width 0.

    Raises:
        ValueError: If a value is not finite, there is none, `diverged` is of another
            length, or `confidence` is not between 0 and 1.

    Example:
        >>> arm = summarize([0.2, 0.3, 1.0], [False, False, True])
        >>> arm.mean, arm.num_diverged
        (0.5, 1)
        >>> f"{arm.divergence_interval.low:.4f} {arm.divergence_interval.high:.4f}"
        '0.0084 0.9057'

    References:
        Clopper and Pearson, "The use of confidence or fiducial limits illustrated in
        the case of the binomial", Biometrika 26, 1934.
    """
    array = _finite("values", values)
    _check_fraction("confidence", confidence)
    if len(diverged) != array.size:
        raise ValueError(
            f"`diverged` must hold one flag a value, {array.size}, but got "
            f"{len(diverged)}. Give one for every replicate."
        )
    mean, sd, interval = _mean_and_spread(array, confidence)
    num_diverged = sum(map(bool, diverged))
    ends = proportion_confint(
        num_diverged, array.size, alpha=1 - confidence, method="beta"
    )
    low, high = np.asarray(ends, dtype=np.float64).tolist()
    return ArmSummary(
        n=array.size,
        mean=mean,
        sd=sd,
        interval=interval,
        num_diverged=num_diverged,
        divergence_interval=Interval(low=low, high=high),
    )


def paired(
    differences: Sequence[float] | Array,
    *,
    against: float = 0.0,
    confidence: float = 0.95,
    smallest_p: float = 0.001,
) -> PairedDifference:
    """Mean of paired differences, its interval, and a test of it.

    The test is the exact sign-flip permutation test of the mean: under the null
    hypothesis each difference is as likely to lie above `against` as as far below, and
    p is the share of the 2**n choices of signs whose mean lies at least as far out. Its
    smallest p is 2**(1 - n), so it is used once that is `smallest_p` or less (n >= 11
    by default: a correction for many claims needs room), up to n = 40, where it takes
    a third of a second. Below and beyond, the test is the paired t test: at small n it
    has power, for the assumption that differences are normal; at n > 40 the two agree,
    and t is not bound to a seed as random signs would be.

    Both tests want differences that scatter alike to both sides. Heavy tails, or two
    arms that diverge now and then each for itself, keep them below their level. One
    arm alone that diverges one time in five does not: five pairs may show no such
    replicate, and the test then errs in up to 32 % of the cases (12 % at n = 10, 6 % at
    n = 30). Seeds added until it is decided do not mend that: the error is made at the
    first look. Read the divergence rates beside the verdict.

    Differences that are all equal (to rounding) have no t: it would divide by a
    standard deviation of 0 and be certain of an effect after two seeds, say because
    both diverged. They get what flipping signs gives: p = 1 if they equal `against`,
    2**(1 - n) otherwise; and an interval of width 0, which says no more than that no
    spread was seen.

    The interval is Student's t in any case; where the test flips signs, the two may
    disagree at the margin. The verdict is that of the test.

    Args:
        differences: One number a seed, n of them.
        against: The mean difference of the null hypothesis.
        confidence: Of the interval.
        smallest_p: The smallest p that the sign-flip test must be able to reach.

    Returns:
        The difference; with n = 1 there is no test, no spread and no interval.

    Raises:
        ValueError: If a difference or `against` is not finite, there is no difference,
            or `confidence` or `smallest_p` is not between 0 and 1.

    Example:
        >>> found = paired([0.02, 0.01, 0.03, 0.02])
        >>> found.test.value, round(found.mean, 3), round(found.p, 4)
        ('paired t test', 0.02, 0.0163)
        >>> paired([0.02, 0.01, 0.03, 0.02], smallest_p=0.2).p
        0.125
    """
    array = _finite("differences", differences)
    _finite("against", [against])
    _check_fraction("confidence", confidence)
    _check_fraction("smallest_p", smallest_p)
    mean, sd, interval = _mean_and_spread(array, confidence)
    p, test = _test(array, against, smallest_p)
    # Not relative to the largest: beside a diverged pair all others would be ties.
    ties = np.abs(array) <= ROUNDING
    return PairedDifference(
        n=array.size,
        mean=mean,
        sd=sd,
        interval=interval,
        against=against,
        p=p,
        test=test,
        superiority=float(np.where(ties, 0.5, array > 0).mean()),
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number by Holm's method.

    Whoever rejects where the corrected value is at most alpha rejects a true
    hypothesis with probability alpha at most, however the tests depend on each other.

    Args:
        p_values: One a claim; None, where there was no test, does not count.

    Returns:
        The corrected values in the same order.

    Raises:
        ValueError: If a p-value is not in [0, 1].

    Example:
        >>> [p and round(p, 3) for p in holm([0.01, None, 0.04, 0.03])]
        [0.03, None, 0.06, 0.06]

    References:
        Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
        Journal of Statistics 6, 1979.
    """
    tested = [p for p in p_values if p is not None]
    for p in tested:
        if not 0 <= p <= 1:
            raise ValueError(
                f"`p_values` must lie in [0, 1], but got {p!r}. Give None for a claim "
                "without a test."
            )
    if not tested:
        return list(p_values)
    corrected = np.asarray(multipletests(tested, method="holm")[1])
    following = iter(corrected.tolist())
    return [None if p is None else next(following) for p in p_values]


def judge(
    difference: PairedDifference, corrected_p: float | None, *, alpha: float = 0.05
) -> Verdict:
    """The verdict on the claim that a mean difference is above `against`.

    Args:
        difference: What was measured.
        corrected_p: Its p-value after the correction for all claims; None for no test.
        alpha: Level of the test, `level_per_look` where seeds were added.

    Raises:
        ValueError: If `alpha` is not between 0 and 1.

    Example:
        >>> found = paired([0.02, 0.01, 0.03, 0.02])
        >>> judge(found, found.p).value
        'supported'
        >>> judge(found, 0.2).value
        'undecided'
    """
    _check_fraction("alpha", alpha)
    if corrected_p is None or corrected_p > alpha:
        return Verdict.UNDECIDED
    if difference.mean > difference.against:
        return Verdict.SUPPORTED
    if difference.mean < difference.against:
        return Verdict.CONTRADICTED
    return Verdict.UNDECIDED


def seeds_needed(
    difference: PairedDifference,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    most: int = 1000,
) -> int | None:
    """Pairs in all after which a paired t test would find an effect like this one.

    It takes the observed mean and spread for the true ones. After few seeds they are
    not, and an effect that caught the eye is likely smaller than it looks: read the
    number as a lower bound of the cost.

    Args:
        difference: What was measured.
        alpha: Two-sided level of the test.
        power: Probability with which it must reject, to the side of the effect.
        most: Larger numbers are not given.

    Returns:
        The smallest such n, pairs measured so far included; for equal differences, the
        n from which `paired` rejects. None where it cannot be told: after one pair,
        for a mean equal to `against`, or above `most`.

    Raises:
        ValueError: If not 0 < `alpha` < `power` < 1.

    Example:
        >>> seeds_needed(paired([0.02, -0.01, 0.03, 0.0]))
        29
        >>> seeds_needed(paired([0.02, -0.02])) is None
        True
    """
    _check_power(alpha, power)
    gap = abs(difference.mean - difference.against)
    scale = max(1.0, abs(difference.mean), abs(difference.against))
    if difference.sd is None or gap <= ROUNDING * scale:
        return None
    if difference.sd == 0:
        n = math.ceil(1 - math.log2(alpha))
        return n if n <= most else None
    effect = gap / difference.sd
    candidates = range(2, most + 1)
    index = bisect.bisect_left(
        candidates, power, key=lambda n: _power(effect, _thresholds(n, alpha), n)
    )
    return candidates[index] if index < len(candidates) else None


def detectable_effect(
    sd: float, n: int, *, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest true mean difference that a paired t test of n pairs detects.

    Args:
        sd: Standard deviation of the differences.
        n: Number of pairs.
        alpha: Two-sided level of the test.
        power: Probability with which it must reject, to the side of the effect.

    Returns:
        The difference, in the unit of `sd`; None for n < 2, and for `sd` = 0: a spread
        that was not seen tells nothing of what would be found.

    Raises:
        ValueError: If `sd` is negative or not finite, or not 0 < `alpha` < `power` < 1.

    Example:
        >>> round(detectable_effect(1.0, 10), 2)
        1.0
    """
    _check_power(alpha, power)
    if not 0 <= sd < math.inf:
        raise ValueError(
            f"`sd` must be a finite number >= 0, but got {sd!r}. Give the standard "
            "deviation of the differences."
        )
    if n < 2 or sd == 0:
        return None
    thresholds = _thresholds(n, alpha)
    # Ten standard errors above the highest threshold nothing is missed.
    enough = (thresholds.max() + 10) / math.sqrt(n)
    found = optimize.root_scalar(
        lambda effect: _power(effect, thresholds, n) - power, bracket=(0, enough)
    )
    return sd * float(found.root)


def factorial_contrasts(
    cells: Mapping[Cell, Sequence[float] | Array],
) -> tuple[Contrast, ...]:
    """Main effects and two-way interactions of a full factorial, seed by seed.

    With the mean over the levels of all other factors written as a bar, a main effect
    of level `a` of a factor and its interaction with level `b` of another are

        y(a) - y(0)   and   (y(a, b) - y(0, b)) - (y(a, 0) - y(0, 0)).

    The interaction is the whole difference of the differences, not its half as where
    levels are coded -1 and 1. Each is one number a seed, so that what the seed does to
    all cells drops out, and `paired` tests it.

    Args:
        cells: The metric of every combination of levels: the key holds the level index
            of each factor from 0 on, the value one number a seed, in the same order.

    Returns:
        All main effects, then all interactions, in the order of factors and levels.

    Raises:
        ValueError: If a combination is missing, a factor has one level, a key is not of
            the others' length, or cells differ in their number of seeds.

    Example:
        >>> cells = {(0, 0): [1.0, 2.0], (0, 1): [2.0, 3.0],
        ...          (1, 0): [4.0, 5.0], (1, 1): [9.0, 9.0]}
        >>> for contrast in factorial_contrasts(cells):
        ...     print(contrast.steps, contrast.values)
        ((0, 1),) (5.0, 4.5)
        ((1, 1),) (3.0, 2.5)
        ((0, 1), (1, 1)) (4.0, 3.0)
    """
    array = _stack(cells)
    steps = [
        (factor, level)
        for factor, num_levels in enumerate(array.shape[:-1])
        for level in range(1, num_levels)
    ]
    pairs = [(a, b) for a, b in itertools.combinations(steps, 2) if a[0] != b[0]]
    return tuple(
        Contrast(steps=chosen, values=_contrast(array, chosen))
        for chosen in [*((step,) for step in steps), *pairs]
    )


def _finite(name: str, values: Sequence[float] | Array) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f"`{name}` must be a row of one number or more, but got shape "
            f"{array.shape}. Give one number a seed."
        )
    if not np.isfinite(array).all():
        index = int(np.argmin(np.isfinite(array)))
        raise ValueError(
            f"`{name}` must be finite, but got {array[index]} at index {index}. Give a "
            "diverged replicate the worst value of the metric."
        )
    return array


def _check_fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(
            f"`{name}` must lie between 0 and 1, but got {value!r}. Write 5 % as 0.05."
        )


def _check_power(alpha: float, power: float) -> None:
    _check_fraction("alpha", alpha)
    _check_fraction("power", power)
    if power <= alpha:
        raise ValueError(
            f"`power` must be above `alpha`, {alpha!r}, but got {power!r}. A test "
            "rejects that often where there is nothing to find."
        )


def _tolerance(array: Array) -> float:
    return ROUNDING * max(1.0, float(np.abs(array).max()))


def _is_constant(array: Array) -> bool:
    return float(np.ptp(array)) <= _tolerance(array)


def _mean_and_spread(
    array: Array, confidence: float
) -> tuple[float, float | None, Interval | None]:
    mean = float(array.mean())
    if array.size == 1:
        return mean, None, None
    if _is_constant(array):
        return mean, 0.0, Interval(low=mean, high=mean)
    ends = stats.ttest_1samp(array, 0.0).confidence_interval(confidence)
    interval = Interval(low=float(ends.low), high=float(ends.high))
    return mean, float(array.std(ddof=1)), interval


def _test(
    array: Array, against: float, smallest_p: float
) -> tuple[float | None, PairedTest]:
    n = array.size
    if n == 1:
        return None, PairedTest.NONE
    if _is_constant(array):
        equal = abs(array.mean() - against) <= _tolerance(np.append(array, against))
        return (1.0 if equal else 2.0 ** (1 - n)), PairedTest.SIGN_FLIP
    if n <= MOST_ENUMERATED and 2.0 ** (1 - n) <= smallest_p:
        return _sign_flip_p(array - against), PairedTest.SIGN_FLIP
    _, p = stats.ttest_1samp(array, against)
    return float(np.asarray(p)), PairedTest.T


def _sign_flip_p(array: Array) -> float:
    """Share of the sums with any signs that lie as far from 0 as the sum itself.

    The sums of one half of the numbers are sorted; for each of the other half's, a
    search counts its partners: 2**(n / 2) of each in place of 2**n.
    """
    half = array.size // 2
    first = _signed_sums(array[:half])
    second = np.sort(_signed_sums(array[half:]))
    # Sums that are equal but for rounding count, else p depends on the order.
    least = abs(array.sum()) - ROUNDING * np.abs(array).sum()
    below = int(np.searchsorted(second, least - first).sum())
    # The signs all turned around are as far out on the other side: twice.
    return min(1.0, 2 * (1 - below / 2.0**array.size))


def _signed_sums(array: Array) -> Array:
    sums = np.zeros(1)
    for number in array:
        sums = np.concatenate([sums + number, sums - number])
    return sums  # (2 ** n,)


def _thresholds(n: int, alpha: float) -> Array:
    """What mean / (sd of one / sqrt(n)) must exceed to be found, over the spreads seen.

    Equally likely values: t rejects above its quantile times the observed standard
    deviation, which is a chi variable. Averaging over it in place of asking scipy for
    a noncentral t, which is NaN or stops with an error far from 0.
    """
    quantiles = (np.arange(QUADRATURE_POINTS) + 0.5) / QUADRATURE_POINTS
    spreads = np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))
    return stats.t.isf(alpha / 2, n - 1) * spreads


def _power(effect: float, thresholds: Array, n: int) -> float:
    """Probability to find a mean of `effect` standard deviations, to its side."""
    return float(special.ndtr(effect * math.sqrt(n) - thresholds).mean())


def _stack(cells: Mapping[Cell, Sequence[float] | Array]) -> Array:
    """All cells as one array of shape (levels of factor 0, ..., seeds)."""
    shape = _num_levels(list(cells))
    rows = {}
    for cell in itertools.product(*map(range, shape)):
        if cell not in cells:
            raise ValueError(
                f"`cells` must hold every combination of levels, but got no {cell}. "
                "Train that arm, or leave a level out."
            )
        rows[cell] = _finite(f"cells[{cell}]", cells[cell])
    num_seeds = next(iter(rows.values())).size
    for cell, row in rows.items():
        if row.size != num_seeds:
            raise ValueError(
                f"`cells` must hold equally many seeds, {num_seeds} as the first, but "
                f"got {row.size} in {cell}. Train the missing ones."
            )
    return np.stack(list(rows.values())).reshape(*shape, num_seeds)


def _num_levels(keys: list[Cell]) -> tuple[int, ...]:
    lengths = {len(key) for key in keys}
    if len(lengths) != 1 or 0 in lengths or min(map(min, keys)) < 0:
        raise ValueError(
            "`cells` must have keys with one level index >= 0 for each factor, but got "
            f"{keys}. Write (0, 1) for level 0 of the first factor, 1 of the second."
        )
    shape = tuple(1 + max(levels) for levels in zip(*keys, strict=True))
    if 1 in shape:
        raise ValueError(
            "`cells` must hold two levels or more of each factor, but got one of "
            f"factor {shape.index(1)}. Leave that factor out."
        )
    return shape


def _contrast(array: Array, steps: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    for factor, level in steps:
        array = array.take([level], axis=factor) - array.take([0], axis=factor)
    return tuple(array.mean(axis=tuple(range(array.ndim - 1))).tolist())
