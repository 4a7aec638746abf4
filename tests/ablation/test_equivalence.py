"""Claims that may end as equivalent: what is said, and how often it is wrong."""

import gc

import numpy as np
import pytest
from scipy import stats

from orthotune.ablation.report import AblationReport
from orthotune.ablation.report_text import markdown
from orthotune.statistics.interim_looks import looks
from orthotune.statistics.paired import Verdict
from orthotune.verdicts.findings import find
from orthotune.verdicts.interim_analysis import analyze
from tests.ablation.cells import DATA, found, tiny, trained
from tests.ablation.many_studies import (
    CONTRADICTED,
    EQUIVALENT,
    SUPPORTED,
    UNDECIDED,
    drawn,
    ended,
)
from tests.ablation.simulate import least_often, most_often
from tests.ablation.small import FIVE, FULL, L2, OFF, TINY

CODES = {
    UNDECIDED: Verdict.UNDECIDED,
    SUPPORTED: Verdict.SUPPORTED,
    CONTRADICTED: Verdict.CONTRADICTED,
    EQUIVALENT: Verdict.EQUIVALENT,
}
SAME = (
    FIVE + "claims: [{same: full, as: penalty=l2}, {same: full, as: modulation=off}]\n"
)
FULL_ROW = [0.10, 0.12, 0.11, 0.13, 0.12]
NEAR = [0.101, 0.119, 0.112, 0.129, 0.121]
FAR = [0.50, 0.55, 0.47, 0.52, 0.54]
VALUES = {FULL: FULL_ROW, L2: NEAR, OFF: FAR}


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch):
    """Statsmodels collects garbage at every correction: most of these tests' time."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


def told(tmp_path, values, text):
    """The report, without its figures."""
    return markdown(found(tmp_path, values, text), ["abc123"], {}, "again!")


def test_what_is_surely_within_the_smallest_effect_is_equivalent(tmp_path):
    near, far = found(tmp_path, VALUES, FIVE).claims
    assert (near.verdict, far.verdict) == (Verdict.EQUIVALENT, Verdict.SUPPORTED)
    differences = np.subtract(NEAR, FULL_ROW)
    sides = [
        stats.ttest_1samp(differences, -0.02, alternative="greater").pvalue,
        stats.ttest_1samp(differences, 0.02, alternative="less").pvalue,
    ]
    assert near.equivalence_p == pytest.approx(2 * max(sides))  # two claims
    assert near.corrected_p > 0.05
    assert near.more_seeds is None


def test_without_a_smallest_effect_nothing_is_equivalent(tmp_path):
    text = FIVE.replace("smallest_effect: 0.02\n", "")
    near, _ = found(tmp_path, VALUES, text).claims
    assert (near.verdict, near.equivalence_p) == (Verdict.UNDECIDED, None)
    assert "quivalen" not in told(tmp_path, VALUES, text).partition("## How")[0]


def test_a_claim_that_two_are_the_same_is_supported_or_contradicted(tmp_path):
    near, far = found(tmp_path, VALUES, SAME).claims
    assert (near.verdict, far.verdict) == (Verdict.SUPPORTED, Verdict.CONTRADICTED)
    assert str(near.claim) == "full is equivalent to penalty=l2"
    # Beyond the smallest effect, not only beyond 0.
    tested = stats.ttest_1samp(np.subtract(FAR, FULL_ROW), 0.02).pvalue
    assert far.corrected_p == pytest.approx(2 * tested)
    assert near.corrected_p == 1.0


def test_a_difference_within_the_smallest_effect_is_no_contradiction(tmp_path):
    """Surely above 0, surely below 0.02: the same, to a smallest effect of 0.02."""
    above = np.add(FULL_ROW, [0.01, 0.011, 0.009, 0.01, 0.011]).tolist()
    values = {FULL: FULL_ROW, L2: above, OFF: FAR}
    assert found(tmp_path, values, SAME).claims[0].verdict == Verdict.SUPPORTED
    better = found(tmp_path, values, FIVE).claims[0]
    assert better.verdict == Verdict.SUPPORTED  # and it is better
    text = told(tmp_path, values, FIVE)
    assert "full is better than penalty=l2: supported, and yet the difference" in text


def test_what_is_undecided_gets_seeds_towards_either_verdict(tmp_path):
    """Seen within the margin: few seeds to equivalence, very many to a difference."""
    noisy = np.add(FULL_ROW, [0.02, -0.019, 0.015, -0.018, 0.005]).tolist()
    values = {FULL: FULL_ROW, L2: noisy, OFF: FAR}
    judged = found(tmp_path, values, FIVE).claims[0]
    assert judged.verdict == Verdict.UNDECIDED
    without = FIVE.replace("smallest_effect: 0.02\n", "")
    other = found(tmp_path, values, without).claims[0]
    assert judged.more_seeds < 20
    assert other.more_seeds is None or other.more_seeds > 100


def test_the_report_says_what_equivalent_means_and_by_which_p(tmp_path):
    text = told(tmp_path, VALUES, FIVE)
    assert "- **equivalent**: full is better than penalty=l2" in text
    assert "(of equivalence = 0.00" in text or "(of equivalence < 0.0001)" in text
    assert "*Equivalent* is what is within +-0.02, the smallest effect" in text
    header = next(line for line in text.splitlines() if line.startswith("| claim"))
    assert "| corrected p | p of equivalence |" in header
    assert "its p-value tests for one" in told(tmp_path, VALUES, SAME)
    findings = found(tmp_path, VALUES, FIVE)
    report = AblationReport(findings=findings, note="", paths=[])
    assert report.metrics["claims_equivalent"] == 1.0


def test_the_simulation_judges_as_the_ablation_does(tmp_path):
    """On studies of 4 to 9 seeds, which only t tests judge."""
    ablation = tiny(tmp_path, TINY.replace("[1, 2, 3]", "{initial: 4, max: 9}"))
    rng = np.random.default_rng(5)
    truths, num_seeds = (0.0, 0.02), len(ablation.seeds)
    differences = drawn(rng, 12, truths, num_seeds, sd=0.012)
    verdicts, lows, highs, used = ended(differences, ablation.looks, 0.02)
    cells = {(arm.name, seed) for arm, seed, _ in ablation.cells()}
    for study, rows in enumerate(differences):
        values = {
            name: dict(zip(ablation.seeds, row, strict=True))
            for name, row in zip((FULL, L2, OFF), [0 * rows[0], *rows], strict=True)
        }
        now = analyze(ablation, values, cells)
        assert [one.verdict for one in now.judgements] == [
            CODES[code] for code in verdicts[study]
        ]
        for claim, one in enumerate(now.differences):
            assert one.n == used[study, claim]
            ends = (lows[study, claim], highs[study, claim])
            assert (one.interval.low, one.interval.high) == pytest.approx(ends)
    assert set(CODES) <= set(verdicts.ravel()) | {CONTRADICTED}


REPETITIONS = 4000


@pytest.mark.parametrize("ns", [(8,), looks(5, 30)])
def test_a_difference_of_the_smallest_effect_is_seldom_called_equivalent(ns):
    """In at most 5 % of studies, also where claims are looked at until decided."""
    rng = np.random.default_rng(1)
    truths = (0.9, 0.9, -0.9)
    verdicts, *_ = ended(drawn(rng, REPETITIONS, truths, ns[-1], sd=0.7), ns, 0.9)
    wrong = np.sum((verdicts == EQUIVALENT).any(1))
    assert wrong <= most_often(REPETITIONS, 0.05)
    alone, *_ = ended(drawn(rng, REPETITIONS, (0.9,), 8, sd=0.7), (8,), 0.9)
    reached = np.sum(alone == EQUIVALENT)  # and not because it never is
    assert least_often(REPETITIONS, 0.02) <= reached <= most_often(REPETITIONS, 0.05)


@pytest.mark.parametrize("ns", [(8,), looks(5, 30)])
def test_equivalence_takes_nothing_from_differences_and_their_intervals(ns):
    rng = np.random.default_rng(2)
    truths = np.array([0.0, 0.0, 0.4, 1.0])
    differences = drawn(rng, REPETITIONS, truths, ns[-1])
    without, *_ = ended(differences, ns, 0.0)
    verdicts, lows, highs, _ = ended(differences, ns, 0.9)
    # No claim is newly called better, and a false one as seldom as before.
    assert not ((verdicts == SUPPORTED) & (without != SUPPORTED)).any()
    for judged in (verdicts, without):
        wrong = np.isin(judged[:, :2], (SUPPORTED, CONTRADICTED)).any(1)
        assert np.sum(wrong) <= most_often(REPETITIONS, 0.05)
    covered = (lows <= truths) & (truths <= highs)
    assert (covered.sum(0) >= least_often(REPETITIONS, 0.95)).all()
    assert (verdicts == EQUIVALENT).any()


def test_seeds_stop_at_equivalence(tmp_path):
    ablation = tiny(tmp_path, TINY.replace("[1, 2, 3]", "{initial: 5, max: 9}"))
    row = lambda values: [*values, *[None] * 4]  # noqa: E731
    records = trained(ablation, {name: row(own) for name, own in VALUES.items()})
    findings = find(ablation, records, DATA)
    assert [one.verdict for one in findings.claims] == [
        Verdict.EQUIVALENT,
        Verdict.SUPPORTED,
    ]
    assert findings.num_needed == 0
