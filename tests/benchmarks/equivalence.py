"""How often verdicts are wrong when claims may end as equivalent, by known truth.

The smallest effect is 1 everywhere. The rules are those of
`tests.ablation.many_studies`, which a test holds against the ablation's own.
"""

import numpy as np

from orthotune.statistics.interim_looks import looks
from tests.ablation.many_studies import (
    CONTRADICTED,
    EQUIVALENT,
    SUPPORTED,
    drawn,
    ended,
)
from tests.benchmarks.rows import row

ONCE, OFTEN = (8,), looks(5, 30)
AT, HALF = "at the smallest effect", "half at 0, half at the smallest effect"
TRUTHS = {
    "1 claim at 0": (0.0,),
    f"1 claim {AT}": (1.0,),
    "4 claims at 0": (0.0,) * 4,
    f"4 claims {AT}": (1.0, -1.0, 1.0, -1.0),
    f"4 claims {HALF}": (0.0, 0.0, 1.0, -1.0),
}


def measures(*, quick=False):
    """Rates of false verdicts: of either kind alone, and of any."""
    studies, rows = 2_000 if quick else 20_000, []
    for seed, (name, truths) in enumerate(TRUTHS.items()):
        for ns in (ONCE, OFTEN):
            for sd in (0.5, 1.0, 2.0):
                rng = np.random.default_rng(seed)
                rows.append(_rates(name, truths, ns, sd, studies, rng))
    return [*rows, *_diverging(studies)]


def _rates(name, truths, ns, sd, studies, rng):
    truth = np.array(truths)
    differences = drawn(rng, studies, truths, ns[-1], sd=sd)
    verdicts, lows, highs, used = ended(differences, ns, 1.0)
    before, *_, used_before = ended(differences, ns, 0.0)
    alike = ((verdicts == EQUIVALENT) & (np.abs(truth) >= 1)).any(1)
    apart, apart_before = (_false_difference(v, truth) for v in (verdicts, before))
    return row(
        f"false equivalent: {name}, sd {sd:g}, n = {'-'.join(map(str, ns))}",
        alike.mean(),
        0.05,
        alike.mean() / 0.05,
        studies,
        target="<= 1",
        false_difference=round(apart.mean(), 4),
        false_difference_without=round(apart_before.mean(), 4),
        any_false=round((alike | apart).mean(), 4),
        covered=round(((lows <= truth) & (truth <= highs)).mean(), 4),
        equivalent=round((verdicts == EQUIVALENT).mean(), 4),
        seeds_used=round(used.sum() / used_before.sum(), 3),
        unit="share of studies",
    )


def _false_difference(verdicts, truth):
    up = (verdicts == SUPPORTED) & (truth <= 0)
    down = (verdicts == CONTRADICTED) & (truth >= 0)
    return (up | down).any(1)


def _diverging(studies):
    """An arm that diverges one time in ten, and is as good otherwise: worse by 1."""
    rng, rows = np.random.default_rng(9), []
    for n in (5, 8, 12, 30):
        noise = rng.normal(0, 0.5, (studies, 1, n))
        lost = 10.0 * (rng.random((studies, 1, n)) < 0.1)
        verdicts, *_ = ended(noise + lost, (n,), 1.0)
        share = np.mean(verdicts == EQUIVALENT)
        rows.append(
            row(
                "called equivalent: an arm that diverges one time in ten, at 10 times "
                f"the smallest effect, n = {n}",
                share,
                0.9**n,
                share / 0.9**n,
                studies,
                unit="share of studies; reference: those without a divergence",
            )
        )
    return rows
