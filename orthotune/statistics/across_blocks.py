"""A difference over several data sets: its mean, its spread, and the next one's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from orthotune.statistics.checks import check_fraction
from orthotune.statistics.paired import Interval, PairedDifference, PairedTest


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A difference over several blocks.

    Args:
        difference: The mean over blocks as `judge` takes it: `n` counts blocks, `sd` is
            its standard error times the root of n, `superiority` the share of blocks
            above 0.
        between_sd: Standard deviation of the true differences between blocks.
        i2: Share of the variance of the blocks' differences that is not chance (I^2).
        next_block: Where the true difference of one more block would probably lie.
    """

    difference: PairedDifference
    between_sd: float
    i2: float
    next_block: Interval


def pool(
    blocks: Sequence[PairedDifference],
    *,
    against: float = 0.0,
    confidence: float = 0.95,
) -> Pooled | None:
    """The random-effects mean of the differences of several blocks.

    Blocks are taken for a sample of such data sets, each with a true difference of its
    own around their mean. The variance between them is Paule and Mandel's, which with
    few blocks is less biased than DerSimonian and Laird's; the interval is Hartung and
    Knapp's, Student's t with (blocks - 1) degrees of freedom, where the normal one is
    far too narrow for a few blocks. Its scale is at least 1: blocks that agree by
    chance do not make it narrower than their own spreads do. The interval of the next
    block's difference is t with the same degrees of freedom times the root of the
    variance between blocks plus that of the mean.

    Two blocks have one degree of freedom, at which t must exceed 12.7: hardly anything
    is decided over all by less than three.

    Args:
        blocks: What was measured in each.
        against: The mean of the null hypothesis.
        confidence: Of both intervals.

    Returns:
        None for one block, or where one has no spread: it would count for everything.

    Raises:
        ValueError: If `confidence` is not between 0 and 1.

    Example:
        >>> from orthotune.statistics.paired import paired
        >>> seen = [[0.3, 0.4, 0.2], [0.1, 0.2, 0.2], [0.2, 0.2, 0.3]]
        >>> found = pool([paired(differences) for differences in seen])
        >>> round(found.difference.mean, 3), round(found.i2, 2)
        (0.223, 0.56)

    References:
        Paule and Mandel, "Consensus values and weighting factors", Journal of Research
        of the National Bureau of Standards 87, 1982. Hartung and Knapp, "A refined
        method for the meta-analysis of controlled clinical trials with binary outcome",
        Statistics in Medicine 20, 2001. Roever, Knapp and Friede, "Hartung-Knapp-
        Sidik-Jonkman approach and its modification for random-effects meta-analysis
        with few studies", BMC Medical Research Methodology 15, 2015.
    """
    check_fraction("confidence", confidence)
    if len(blocks) < 2 or not all(block.sd for block in blocks):
        return None
    means = np.array([block.mean for block in blocks])
    errors = np.array([(block.sd or 0.0) / math.sqrt(block.n) for block in blocks])
    # In standard errors: the iteration stops at an absolute tolerance.
    unit = float(np.median(errors))
    with np.errstate(divide="ignore"):  # I^2 of blocks that are all equal
        found: Any = combine_effects(
            means / unit, (errors / unit) ** 2, method_re="iterated", use_t=True
        )
    n, mean = len(blocks), float(found.mean_effect_re) * unit
    error = (
        unit * float(found.sd_eff_w_re) * max(1.0, float(found.scale_hksj_re)) ** 0.5
    )
    between = unit * math.sqrt(max(0.0, float(found.tau2)))
    quantile = float(stats.t.isf((1 - confidence) / 2, n - 1))

    def around(half: float) -> Interval:
        return Interval(low=mean - half, high=mean + half)

    return Pooled(
        difference=PairedDifference(
            n=n,
            mean=mean,
            sd=error * math.sqrt(n),
            interval=around(quantile * error),
            against=against,
            p=float(2 * stats.t.sf(abs(mean - against) / error, n - 1)),
            test=PairedTest.T,
            superiority=float(np.mean(np.where(means == 0, 0.5, means > 0))),
        ),
        between_sd=between,
        i2=max(0.0, float(found.i2)),
        next_block=around(quantile * math.hypot(between, error)),
    )
