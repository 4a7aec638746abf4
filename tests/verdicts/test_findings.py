"""Verdicts against values one can count by hand, and scipy's own tests."""

import pytest
from scipy import stats

from orthotune.record.trial_record import Status
from orthotune.statistics.paired import Verdict
from orthotune.verdicts.findings import find, further_trials
from orthotune.verdicts.retuning_results import retuning
from tests.ablation.cells import DATA, found, tiny, trained
from tests.ablation.retuned import AGAIN, RETUNED, SHARED, TUNING, asked, ended
from tests.ablation.small import FIVE, FULL, L2, OFF, RETUNE, TINY

CLAIMS = """\
claims:
  - {better: full, than: modulation=off, by: 0.1}
  - {better: full, than: penalty=l2}
"""


def test_arms_are_compared_seed_by_seed(tmp_path):
    full, off = [0.10, 0.30, 0.20], [0.21, 0.39, 0.32]
    findings = found(tmp_path, {FULL: full, L2: full, OFF: off})
    difference = findings.comparisons[1].difference
    oracle = stats.ttest_rel(off, full)
    ends = oracle.confidence_interval(0.95)
    assert difference.mean == pytest.approx(0.32 / 3)
    assert difference.p == pytest.approx(oracle.pvalue)
    assert (difference.interval.low, difference.interval.high) == pytest.approx(
        (ends.low, ends.high)
    )
    assert difference.superiority == 1.0


def test_claims_are_corrected_for_their_number_and_judged(tmp_path):
    full = [0.10, 0.12, 0.11, 0.13, 0.12]
    off = [0.50, 0.55, 0.47, 0.52, 0.54]
    l2 = [0.05, 0.06, 0.07, 0.06, 0.08]
    values = {FULL: full, L2: l2, OFF: off}
    findings = found(tmp_path, values, FIVE + CLAIMS)
    margin, better = findings.claims
    shifted = [b - a - 0.1 for a, b in zip(full, off, strict=True)]
    ps = [stats.ttest_1samp(shifted, 0).pvalue, stats.ttest_rel(l2, full).pvalue]
    assert max(ps) < 0.05 / 2
    holm = [min(1.0, p * (2 if p == min(ps) else 1)) for p in ps]
    assert [margin.corrected_p, better.corrected_p] == pytest.approx(holm)
    assert margin.verdict == Verdict.SUPPORTED
    assert better.verdict == Verdict.CONTRADICTED
    assert margin.more_seeds is better.more_seeds is None


def test_what_is_undecided_says_how_many_seeds_would_decide(tmp_path):
    full = [0.10, 0.12, 0.11, 0.13, 0.12]
    off = [0.14, 0.11, 0.17, 0.12, 0.18]
    findings = found(tmp_path, {FULL: full, L2: full, OFF: off}, FIVE)
    judged = findings.claims[1]
    assert judged.verdict == Verdict.UNDECIDED
    assert 1 <= judged.more_seeds < 50


def test_an_arm_that_always_diverges_is_a_result(tmp_path):
    dead = [Status.DIVERGED] * 5
    full = [0.1, 0.2, 0.3, 0.2, 0.1]
    values = {FULL: full, L2: dead, OFF: dead}
    findings = found(tmp_path, values, FIVE)
    judged = findings.claims[0]
    assert judged.verdict == Verdict.SUPPORTED
    assert judged.difference.mean == pytest.approx(1 - 0.18)
    both = TINY + "claims: [{better: penalty=l2, than: modulation=off}]\n"
    text = both.replace("[1, 2, 3]", "[1, 2, 3, 4, 5]")
    (between,) = found(tmp_path, values, text).claims
    assert between.difference.p == 1.0
    assert (between.verdict, between.more_seeds) == (Verdict.UNDECIDED, None)


def test_what_failed_or_did_not_run_is_missing_with_its_pairs(tmp_path):
    values = {
        FULL: [0.1, None, 0.3],
        L2: [0.1, 0.2, 0.3],
        OFF: [Status.FAILED, 0.2, 0.4],
    }
    findings = found(tmp_path, values)
    assert findings.missing == [
        "modulation=off, seed 1: ValueError: broken",
    ]
    assert findings.num_needed == 1
    assert {judged.verdict for judged in findings.claims} == {Verdict.UNDECIDED}
    assert [judged.difference.n for judged in findings.comparisons] == [2, 1]
    assert findings.comparisons[1].difference.p is None


def test_nothing_has_run_yet(tmp_path):
    findings = found(tmp_path, {FULL: [None] * 3, L2: [None] * 3, OFF: [None] * 3})
    assert set(findings.summaries.values()) == {None}
    assert {judged.verdict for judged in findings.claims} == {Verdict.UNDECIDED}
    assert all(judged.difference is None for judged in findings.claims)
    assert (findings.missing, findings.num_needed) == ([], 9)


def test_a_factor_that_changes_nothing_is_told_from_one_without_effect(tmp_path):
    text = TINY.replace(
        '"off": {modulation.enabled: false}',
        '"off": {optimizer.schedule.gamma: 0.5}',  # a cosine does not read it
    )
    findings = found(
        tmp_path, {FULL: [0.1, 0.2, 0.3], L2: [0.1, 0.2, 0.3], OFF: 3 * [9]}, text
    )
    assert [judged.void for judged in findings.comparisons] == [False, True]
    same = findings.comparisons[1]
    assert (same.difference.mean, same.more_seeds) == (0.0, None)


def test_effects_of_a_factorial_are_averaged_over_the_other_factors(tmp_path):
    names = [
        f"penalty={p}, modulation={m}"
        for p in ("orthonormal", "l2")
        for m in ("on", "off")
    ]
    rows = (
        [0.10, 0.11, 0.12],
        [0.30, 0.32, 0.31],
        [0.20, 0.22, 0.23],
        [0.70, 0.69, 0.74],
    )
    values = dict(zip(names, rows, strict=True))
    findings = found(tmp_path, values, TINY + "design: factorial\n")
    a, b, c, d = rows
    l2 = [(y + z - w - x) / 2 for w, x, y, z in zip(a, b, c, d, strict=True)]
    both = [z - y - x + w for w, x, y, z in zip(a, b, c, d, strict=True)]
    effects = {effect.name: effect for effect in findings.effects}
    assert list(effects) == [
        "penalty=l2",
        "modulation=off",
        "penalty=l2 x modulation=off",
    ]
    assert effects["penalty=l2"].difference.mean == pytest.approx(sum(l2) / 3)
    assert effects["penalty=l2 x modulation=off"].difference.p == pytest.approx(
        stats.ttest_1samp(both, 0).pvalue
    )


def test_claims_are_judged_at_the_shared_setting_and_after_tuning(tmp_path):
    ablation = asked(tmp_path)
    findings = find(ablation, ended(ablation, again=AGAIN), DATA)
    alone = find(tiny(tmp_path, RETUNED.replace(RETUNE, "")), ended(ablation), DATA)
    assert [j.verdict for j in findings.claims] == [j.verdict for j in alone.claims]
    assert findings.claims[1].verdict == Verdict.SUPPORTED
    again = findings.again.claims[1]
    assert again.verdict == Verdict.UNDECIDED
    assert again.difference.mean == pytest.approx(-0.002)
    assert again.difference.n == 5


def test_nothing_is_asked_again_before_all_tuning_has_ended(tmp_path):
    ablation = asked(tmp_path)
    for open_or_failed in (None, Status.FAILED):
        tuning = TUNING | {OFF: [0.5, 0.4, open_or_failed]}
        records = ended(ablation, tuning)
        findings = find(ablation, records, DATA)
        assert (findings.retuning.num_open, findings.again) == (1, None)
        assert further_trials(ablation, DATA)(records) == []


def test_then_the_arms_so_tuned_run_with_the_seeds_of_the_ablation(tmp_path):
    ablation = asked(tmp_path)
    records = ended(ablation)
    listed = further_trials(ablation, DATA)(records)
    # The shared setting of penalty=l2 is its best: its cells are there.
    assert [one.group for one in listed] == [
        f"{name}, re-tuned" for _ in range(5) for name in (FULL, OFF)
    ]
    assert [one.label for one in listed[::2]] == [f"seed {s}" for s in (1, 2, 3, 4, 5)]
    assert (
        listed[0].fields["optimizer.lr"] == ablation.retune.draws()[1]["optimizer.lr"]
    )
    assert further_trials(ablation, DATA)(ended(ablation, again=AGAIN)) == []


def test_further_seeds_go_to_what_is_undecided_after_tuning_alone(tmp_path):
    text = RETUNED.replace("[1, 2, 3, 4, 5]", "{initial: 5, max: 8}")
    ablation = asked(tmp_path, text)
    shared = {name: [*own, None, None, None] for name, own in SHARED.items()}
    shared[L2] = [0.5, 0.55, 0.47, 0.52, 0.54, None, None, None]
    records = trained(ablation, shared, TUNING)
    retuned = retuning(ablation, records, DATA).ablation
    again = {
        FULL: [0.10, 0.12, 0.11, 0.13, 0.12, None, None, None],
        L2: shared[L2],
        OFF: [0.2, 0.1, 0.3, 0.05, 0.16, None, None, None],
    }
    known = {record.key for record in records}
    for record in trained(retuned, again):
        if record.key not in known:
            record.number = len(records)
            records.append(record)
    listed = further_trials(ablation, DATA)(records)
    assert {one.group for one in listed} == {f"{FULL}, re-tuned", f"{OFF}, re-tuned"}
    assert {one.fields["seed"] for one in listed} == {6, 7, 8}
