import pytest

from orthotune.design.ablation import Claim
from orthotune.errors import AblationError
from tests.ablation.small import TINY
from tests.design.tiny_file import changed, check_wrong, read


def test_adding_one_in_claims_that_what_is_added_helps(tmp_path):
    text = changed("full:", "design: add_one_in\nbaseline:")
    ablation = read(tmp_path, text)
    assert ablation.reference.name == "baseline"
    assert ablation.claims[0] == Claim(better="penalty=l2", than="baseline")


@pytest.mark.parametrize("reference", ["full", "baseline"])
def test_arms_of_ones_own_are_better_than_a_baseline_and_worse_than_full(
    tmp_path, reference
):
    head, _, rest = TINY.replace("full:", f"{reference}:").partition("factors:")
    arms = "arms: {ours: {model.depth: 14}}\n"
    text = head + "design: explicit\n" + arms + rest[rest.index("seeds:") :]
    (claim,) = read(tmp_path, text).claims
    better, than = ("full", "ours") if reference == "full" else ("ours", "baseline")
    assert claim == Claim(better=better, than=than)


def test_a_claim_may_be_that_two_arms_are_the_same(tmp_path):
    text = TINY + "claims: [{same: full, as: penalty=l2}]\n"
    (claim,) = read(tmp_path, text).claims
    assert claim == Claim(better="full", than="penalty=l2", same=True)
    assert str(claim) == "full is equivalent to penalty=l2"


WRONG = {
    "the same by so much": (
        TINY + "claims: [{same: full, as: penalty=l2, by: 0.1}]\n",
        "`claims.by` is not a key here.",
    ),
    "the same, of one arm": (
        TINY + "claims: [{as: penalty=l2}]\n",
        "`claims` must name an arm as `same`, but got None.",
    ),
    "the same as nothing": (
        TINY + "claims: [{same: full, than: penalty=l2}]\n",
        "`claims.than` is not a key here.",
    ),
    "the same without a smallest effect": (
        changed("smallest_effect: 0.02\n", "")
        + "claims: [{same: full, as: penalty=l2}]\n",
        ":16: `claims` must hold `same` only beside a `smallest_effect` above 0, but "
        "it is 0. Say which difference is the smallest that matters.",
    ),
    "claims of another type": (
        TINY + "claims: full\n",
        ":17: `claims` must be a list such as",
    ),
    "a claim of an unknown arm": (
        TINY + "claims: [{better: full, than: modulation=of}]\n",
        ":17: `claims` must name an arm as `than`, but got the string 'modulation=of'. "
        "Did you mean `modulation=off`?",
    ),
    "a claim of one arm": (
        TINY + "claims: [{better: full, than: full}]\n",
        ":17: `claims` must compare two arms, but got the string 'full' twice.",
    ),
    "a claim with a negative margin": (
        TINY + "claims: [{better: full, than: penalty=l2, by: -1}]\n",
        ":17: `claims` must be a number in [0, 1e+06], but got -1.",
    ),
    "a claim twice": (
        TINY + "claims: [{better: full, than: penalty=l2}, "
        "{better: full, than: penalty=l2, by: 0}]\n",
        ":17: `claims` must not repeat a claim. Delete one.",
    ),
    "a claim with an unknown key": (
        TINY + "claims: [{better: full, then: penalty=l2}]\n",
        "`claims.then` is not a key here. Did you mean `than`?",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, kind):
    check_wrong(tmp_path, *WRONG[kind])


def test_too_many_claims_are_refused(tmp_path):
    claim = {"better": "full", "than": "modulation=off"}
    with pytest.raises(AblationError, match="must be at most 1000, but are 10"):
        read(tmp_path, TINY, claims=[{**claim, "by": by} for by in range(1001)])
