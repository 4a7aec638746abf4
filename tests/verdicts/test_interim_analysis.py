import numpy as np
import pytest
from scipy import stats

from orthotune.design.ablation import Claim
from orthotune.record.trial_record import Status
from orthotune.statistics.paired import Verdict
from orthotune.verdicts.findings import find, further_trials
from orthotune.verdicts.interim_analysis import analyze, difference
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.small import FULL, L2, OFF, TINY

GROWING = TINY.replace("[1, 2, 3]", "{initial: 3, max: 7}")  # looks at 3, 5, 7
CLEAR = [0.61, 0.63, 0.60, 0.63, 0.62, 0.61, 0.60]
NOISY = [0.21, 0.11, 0.16, 0.13, 0.22, 0.12, 0.19]
REFERENCE = [0.12, 0.13, 0.11, 0.12, 0.14, 0.12, 0.13]


def grown(tmp_path, counts, text=GROWING):
    """Records with so many seeds of each arm, and the cells that are then needed."""
    ablation = tiny(tmp_path, text)
    values = {FULL: REFERENCE, L2: NOISY, OFF: CLEAR}
    cut = {
        name: [v if k < counts[name] else None for k, v in enumerate(row)]
        for name, row in values.items()
    }
    records = trained(ablation, cut)
    more = further_trials(ablation, DATA)(records)
    return find(ablation, records, DATA), {
        (one.fields["regularizer.kind"], one.fields["seed"]) for one in more
    }


def test_further_seeds_go_to_the_arms_of_undecided_claims_only(tmp_path):
    findings, more = grown(tmp_path, {FULL: 3, L2: 3, OFF: 3})
    verdicts = [judged.verdict for judged in findings.claims]
    assert verdicts == [Verdict.UNDECIDED, Verdict.SUPPORTED]
    assert more == {(kind, seed) for kind in ("orthonormal", "l2") for seed in (4, 5)}
    findings, more = grown(tmp_path, {FULL: 5, L2: 5, OFF: 3})
    assert more == {(kind, seed) for kind in ("orthonormal", "l2") for seed in (6, 7)}
    # A decided claim keeps what it was decided by.
    assert [judged.difference.n for judged in findings.claims] == [5, 3]
    findings, more = grown(tmp_path, {FULL: 7, L2: 7, OFF: 3})
    assert more == set()
    assert findings.num_needed == 0


def test_no_seeds_are_spent_on_what_is_smaller_than_the_smallest_effect(tmp_path):
    text = GROWING.replace("smallest_effect: 0.02", "smallest_effect: 0.9")
    findings, more = grown(tmp_path, {FULL: 3, L2: 3, OFF: 3}, text)
    assert findings.claims[0].verdict == Verdict.EQUIVALENT
    assert more == set()
    assert findings.num_needed == 0


def test_differences_without_any_spread_are_no_small_ones(tmp_path):
    """As of arms that always diverge, or a metric in steps of one image."""
    ablation = tiny(tmp_path, GROWING.replace("effect: 0.02", "effect: 0.9"))
    dead = [*[Status.DIVERGED] * 3, *[None] * 4]
    records = trained(ablation, {FULL: dead, L2: dead, OFF: [*CLEAR[:3], *[None] * 4]})
    judged = find(ablation, records, DATA).claims[0]
    assert judged.difference.interval.low == judged.difference.interval.high == 0
    assert (judged.equivalence_p, judged.verdict) == (None, Verdict.UNDECIDED)
    more = further_trials(ablation, DATA)(records)
    assert {one.fields["regularizer.kind"] for one in more} >= {"orthonormal", "l2"}


def test_no_seeds_are_spent_on_an_arm_that_never_gives_a_value(tmp_path):
    ablation = tiny(tmp_path, GROWING)
    failed = [Status.FAILED] * 3 + [None] * 4
    values = {FULL: REFERENCE, L2: failed, OFF: CLEAR}
    values = {n: [*v[:3], None, None, None, None] for n, v in values.items()}
    more = further_trials(ablation, DATA)(trained(ablation, values))
    assert more == []


def test_every_look_has_its_share_of_the_level(tmp_path):
    findings, _ = grown(tmp_path, {FULL: 3, L2: 3, OFF: 3})
    assert findings.level == pytest.approx(0.05 / 3)
    clear = [b - a for a, b in zip(REFERENCE[:3], CLEAR[:3], strict=True)]
    ends = stats.ttest_1samp(clear, 0).confidence_interval(1 - 0.05 / 3)
    interval = findings.claims[1].difference.interval
    assert (interval.low, interval.high) == pytest.approx((ends.low, ends.high))


def test_nothing_is_decided_between_two_looks(tmp_path):
    findings, more = grown(tmp_path, {FULL: 3, L2: 3, OFF: 2})
    assert {judged.verdict for judged in findings.claims} == {Verdict.UNDECIDED}
    assert len(more) == findings.num_needed == 1


def test_a_configuration_is_not_compared_with_itself_for_more_seeds(tmp_path):
    text = (
        GROWING.replace(
            '"off": {modulation.enabled: false}',
            '"off": {optimizer.schedule.gamma: 0.5}',
        )
        .replace("orthonormal: {", "first: {optimizer.lr: 0.1, ")
        .replace(
            "l2: {regularizer.kind: l2", "l2: {optimizer.lr: 0.1, regularizer.kind: l2"
        )
    )
    text += "claims: [{better: full, than: modulation=off}]\n"
    _, more = grown(tmp_path, {FULL: 3, L2: 3, OFF: 3}, text)
    assert more == set()


@pytest.mark.soak
def test_stopping_early_does_not_support_what_is_not_there(tmp_path):
    """No effect, seeds added until decided: wrong in at most 5 % of 1,000 studies."""
    text = TINY.replace("[1, 2, 3]", "{initial: 4, max: 14}")
    ablation = tiny(tmp_path, text)
    rng = np.random.default_rng(0)
    cells = {(arm.name, seed) for arm, seed, _ in ablation.cells()}
    wrong = sizes = 0
    for _ in range(1000):
        draws = rng.normal(0.3, 0.05, (3, len(ablation.seeds)))
        values = {
            arm.name: dict(zip(ablation.seeds, row, strict=True))
            for arm, row in zip(ablation.arms, draws, strict=True)
        }
        judged = analyze(ablation, values, cells)
        wrong += any(
            one.verdict in (Verdict.SUPPORTED, Verdict.CONTRADICTED)
            for one in judged.judgements
        )
        sizes += judged.differences[0].n
    assert wrong <= stats.binom.ppf(0.999, 1000, 0.05)
    assert sizes / 1000 > 13  # and seeds were added


def test_no_look_is_wasted_on_a_test_that_cannot_reach_the_level(tmp_path):
    once = tiny(tmp_path)
    five = tiny(tmp_path, TINY.replace("[1, 2, 3]", "{initial: 5, max: 30}"))
    claim = Claim(better="a", than="b")
    rng = np.random.default_rng(0)
    seeds = range(12)
    values = {
        "a": dict.fromkeys(seeds, 0.0),
        "b": dict(enumerate(rng.normal(5, 1, 12))),
    }
    few = difference(once, claim, values, seeds, 2)
    many = difference(five, claim, values, seeds, 31)
    assert few.p == 2.0**-11
    assert many.p * 31 <= 0.01
