"""What is remarked of a search, and what is not."""

import pytest

from orthotune.record.trial_record import Status
from orthotune.report.findings import find
from orthotune.report.remarks import remarks
from tests.report.searched import ended


def said(study, records):
    return " ".join(remarks(find(study, records)))


def test_nothing_remarkable_gives_no_remark(study):
    assert remarks(find(study, [ended(n) for n in range(5)])) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"optimizer.lr": 0.8},
            "`optimizer.lr` of the first trial is 0.8, within 5% of the bound 1 of its "
            "scale: better ones may lie beyond. Widen it.",
        ),
        ({"optimizer.lr": 0.0013}, "0.0013, within 5% of the bound 0.001"),
        ({"optimizer.lr": 0.65}, ""),  # 93.8 % of the logarithmic scale
        ({"optimizer.momentum": 0.87}, "within 5% of the bound 0.9"),
        ({"optimizer.momentum": 0.0}, ""),  # nothing is below
        ({"regularizer.coeff": 0.9}, "`regularizer.coeff` of the first trial is 0.9"),
    ],
)
def test_a_best_at_the_edge_of_the_space_asks_for_a_wider_one(study, fields, words):
    best = ended(0, errors=(0.5, 0.5, 0.1), **fields)
    found = said(study, [best, *(ended(n) for n in range(1, 6))])
    assert words in found
    assert bool(words) == bool(found)


def test_a_bound_of_what_the_best_does_not_read_is_not_widened(study):
    idle = {"regularizer.kind": "none", "regularizer.coeff": 0.9}
    best = ended(0, errors=(0.5, 0.5, 0.1), **idle)
    assert said(study, [best, *(ended(n) for n in range(1, 6))]) == ""


def test_few_comparable_trials_are_remarked(study):
    assert "Only 1 trial ran an equal budget" in said(study, [ended(0)])
    assert "Only 4 trials ran" in said(study, [ended(n) for n in range(4)])


def test_divergence_is_remarked_where_it_is_much(study):
    diverged = [ended(n, Status.DIVERGED, [1.0]) for n in range(5)]
    assert "Every trial that has ended diverged" in said(study, diverged)
    fine = [ended(n) for n in range(5, 10)]
    assert "50% of the trials that have ended diverged" in said(study, diverged + fine)
    assert "diverged" not in said(study, [*diverged[:4], *fine])


def test_what_has_not_ended_or_failed_is_remarked(study):
    broken = ended(0, Status.FAILED, [])
    broken.error = "ValueError: `a`\n is wrong"
    waiting = ended(1, Status.INTERRUPTED, [0.5])
    found = said(study, [broken, waiting, *(ended(n) for n in range(2, 8))])
    assert "Failed: 1 trial, number 0 with `ValueError: 'a' is wrong`." in found
    assert "Not ended: 1 trial. All of this may change;" in found
