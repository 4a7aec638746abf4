import numpy as np
from scipy import stats

from tests.ablation.small import FIVE, FULL, L2, OFF, TINY
from tests.ablation.written import VALUES, text_of, write

BY = FIVE + f"claims:\n  - {{better: full, than: {OFF}, by: 0.3}}\n"


def test_a_verdict_stands_with_its_own_numbers_and_their_sign(tmp_path):
    text = text_of(write(tmp_path, VALUES, BY))
    verdicts = text.partition("## Claims")[0]
    # 0.50 - 0.10, 0.55 - 0.12, 0.47 - 0.11, 1 - 0.13, 0.54 - 0.12
    differences = np.array([0.4, 0.43, 0.36, 0.87, 0.42])
    found = stats.ttest_1samp(differences, 0.3)  # against what was claimed, not 0
    low, high = found.confidence_interval(0.95)
    assert (
        f"**undecided**: full is better than {OFF} by at least 0.3  \n"
        f"  effect +0.4960 [{low:+.4f}, {high:+.4f}], corrected p = {found.pvalue:.4f},"
        " 5 seeds\n"
    ) in verdicts
    assert "`val_error` of a claim's second arm minus that of its first" in verdicts
    assert "above 0 the first is better, as claimed" in verdicts
    assert "(with *by at least*, other than so much)" in verdicts
    # The arms have other signs and another test.
    assert (
        "A mean is over seeds; a difference is the arm's `val_error` minus that of "
        f"the reference, {FULL}: below 0 the arm is better than it, above 0 worse."
    ) in text
    assert (
        "(left of 0: better than it, right of 0: worse)"
        in (tmp_path / "out" / "differences.svg").read_text()
    )


def test_a_claim_without_a_pair_or_a_test_says_so(tmp_path):
    nothing = {FULL: [None] * 3, L2: [None] * 3, OFF: [None] * 3}
    text = text_of(write(tmp_path, nothing))
    assert text.count("effect not known yet: no seed has both arms") == 2
    one = {name: values[:1] for name, values in VALUES.items()}
    text = text_of(write(tmp_path, one, TINY.replace("[1, 2, 3]", "[1]")))
    assert "  effect +0.4000, 1 seed\n" in text
