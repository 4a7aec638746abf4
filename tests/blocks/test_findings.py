import numpy as np
import pytest
from scipy import stats

from orthotune.blocks.findings import find_blocks
from orthotune.record.identity import trial_key
from orthotune.statistics.paired import Verdict
from orthotune.verdicts.findings import find, further_trials
from tests.ablation.small import FULL, L2, OFF, RETUNE
from tests.blocks.made import BLOCKS, DATA, TWO, A, B, read, trained

NEAR = [0.10, 0.12, 0.11, 0.13, 0.12]
ALIKE = [0.102, 0.118, 0.113, 0.128, 0.122]
FAR = [0.50, 0.55, 0.47, 0.52, 0.54]
NOISY = [0.21, 0.11, 0.05, 0.23, 0.12]
VALUES = {
    (A, FULL): NEAR,
    (A, L2): ALIKE,
    (A, OFF): FAR,
    (B, FULL): NEAR,
    (B, L2): NOISY,
    (B, OFF): ALIKE,
}


def test_every_claim_is_judged_on_every_block(tmp_path):
    ablation = read(tmp_path)
    found = find_blocks(ablation, trained(ablation, VALUES), DATA)
    verdicts = [[one.verdict for one in part.claims] for part in found.parts]
    assert verdicts == [
        [Verdict.EQUIVALENT, Verdict.SUPPORTED],
        [Verdict.UNDECIDED, Verdict.EQUIVALENT],
    ]


def test_p_values_are_corrected_for_the_claims_of_all_blocks(tmp_path):
    ablation = read(tmp_path)
    found = find_blocks(ablation, trained(ablation, VALUES), DATA)
    seen = [one for part in found.parts for one in part.claims]
    smallest = min(seen, key=lambda one: one.difference.p)
    p = stats.ttest_rel(FAR, NEAR).pvalue
    assert smallest.corrected_p == pytest.approx(4 * p)
    # Where there is one data set, for its two alone.
    alone = read(tmp_path, TWO.replace(BLOCKS, ""))
    values = {("", name): VALUES[A, name] for name in (FULL, L2, OFF)}
    judged = find(alone, trained(alone, values), DATA).claims[1]
    assert judged.corrected_p == pytest.approx(2 * p)


def test_over_all_is_the_random_effects_mean_of_the_blocks(tmp_path):
    ablation = read(tmp_path)
    found = find_blocks(ablation, trained(ablation, VALUES), DATA)
    over = found.overall[1]
    # Far apart for their spreads: about equal weights, and the half-range as its error.
    means = [np.mean(np.subtract(FAR, NEAR)), np.mean(np.subtract(ALIKE, NEAR))]
    assert over.pooled.difference.mean == pytest.approx(np.mean(means), abs=2e-3)
    assert over.pooled.i2 > 0.99
    interval, half = over.pooled.difference.interval, abs(means[0] - means[1]) / 2
    width = stats.t.isf(0.025, 1) * half
    assert interval.high - over.pooled.difference.mean == pytest.approx(width, rel=0.01)
    assert over.judgement.verdict == Verdict.UNDECIDED  # two blocks decide nothing


def test_over_all_is_not_known_before_every_block_is(tmp_path):
    ablation = read(tmp_path)
    known = {key: row for key, row in VALUES.items() if key[0] == A}
    found = find_blocks(ablation, trained(ablation, known), DATA)
    assert [one.pooled for one in found.overall] == [None, None]
    assert {one.verdict for part in found.parts for one in part.claims} == {
        Verdict.UNDECIDED  # until all cells of the look are there
    }


def test_further_seeds_go_to_the_blocks_whose_claims_are_undecided(tmp_path):
    text = TWO.replace("[1, 2, 3, 4, 5]", "{initial: 5, max: 8}")
    ablation = read(tmp_path, text)
    more = [None] * 3
    rows = {key: [*row, *more] for key, row in VALUES.items()}
    listed = further_trials(ablation, DATA)(trained(ablation, rows))
    assert {one.group for one in listed} == {f"{B}: {FULL}", f"{B}: {L2}"}
    assert {one.label for one in listed} == {"seed 6", "seed 7", "seed 8"}


def test_what_was_interrupted_goes_on_with_the_cells_that_are_missing(tmp_path):
    """Whatever part has ended: that part and what follows are the whole, once each."""
    ablation = read(tmp_path)
    records = trained(ablation, VALUES)
    whole = {trial_key(one.fields, DATA) for one in ablation.study().listed}
    assert len(whole) == len(records) == 2 * 3 * 5
    for number in (0, 7, 16, 29, 30):
        following = further_trials(ablation, DATA)(records[:number])
        keys = [trial_key(one.fields, DATA) for one in following]
        done = {one.key for one in records[:number]}
        assert len(keys) == len(set(keys)) == 30 - number
        assert done | set(keys) == whole


def test_every_arm_is_tuned_anew_on_every_block(tmp_path):
    ablation = read(tmp_path, TWO + RETUNE)
    groups = {one.group for one in ablation.study().listed}
    assert {f"tuning: {A}: {FULL}", f"tuning: {B}: {FULL}", f"{B}: {OFF}"} <= groups
    best = {(A, FULL): [0.2, 0.1, 0.3], (B, FULL): [0.2, 0.3, 0.1]}
    tuning = {key: best.get(key, [0.1, 0.2, 0.3]) for key in VALUES}
    records = trained(ablation, VALUES, tuning)
    found = find_blocks(ablation, records, DATA)
    draws = ablation.retune.draws()
    rates = [
        next(iter(part.again.ablation.arms)).fields["optimizer.lr"]
        for part in found.parts
    ]
    assert rates == [draws[1]["optimizer.lr"], draws[2]["optimizer.lr"]]
    listed = further_trials(ablation, DATA)(records)
    assert {one.group for one in listed} == {
        f"{block}: {FULL}, re-tuned" for block in (A, B)
    }  # the others were best at the shared setting
    assert [one.pooled for one in found.again] == [None, None]


def test_nothing_is_asked_again_on_a_block_before_all_are_tuned(tmp_path):
    ablation = read(tmp_path, TWO + RETUNE)
    tuning = {key: [0.1, 0.2, 0.3] for key in VALUES}
    tuning[B, OFF] = [0.1, 0.2, None]
    records = trained(ablation, VALUES, tuning)
    found = find_blocks(ablation, records, DATA)
    assert [part.again for part in found.parts] == [None, None]
    assert found.again == ()
    assert further_trials(ablation, DATA)(records) == []
