import pytest

from orthotune.record.trial_record import Status
from orthotune.report.audit import audit_part, audit_rows
from orthotune.statistics.proportion import exact_count_interval
from orthotune.stopping.audit import audit_findings
from orthotune.stopping.signal_rule import FEATURES
from tests.made_records import metrics, record
from tests.report.searched import SPACE, study_of

AUDITED = SPACE.replace("seed: 5", "seed: 5, audit: 0.5")


def stopped(number, later=None):
    one = record(number, [0.9], Status.STOPPED)
    if later is not None:
        one.audit = {2: metrics(0.8), 3: metrics(later)}
    return one


@pytest.fixture
def part(tmp_path):
    def of(records, text=AUDITED):
        return "\n\n".join(audit_part(study_of(tmp_path, text), records))

    return of


RAN_ON = [record(n, [0.5, 0.4, 0.1 * (n + 1)]) for n in range(6)]


def test_the_part_says_what_stopping_cost_and_what_it_saved(part, tmp_path):
    ends = [0.6, 0.45, 0.04, 0.3, *[0.9] * 6]
    records = [
        *RAN_ON,
        *(stopped(10 + n, end) for n, end in enumerate(ends)),
        *(stopped(30 + n) for n in range(20)),
    ]
    text = part(records)
    assert "Audited: **10 of 30 stopped trials**" in text
    # The fifth has 0.5; 0.45, 0.04 and 0.3 are better.
    assert "3 of the 10 would have been among the best 5 (better than" in text
    low, high = exact_count_interval(3, 10, 30)
    assert f"Of all 30 that is true of {low} to {high} ({low / 30:.0%} to" in text
    assert "the best of these trial 12 with `val_error` 0.0400" in text
    assert "a regret of 0.0600, as far as the audit saw, which was 33%" in text
    # Of 40 trials of 3 epochs 30 stopped after 1; 10 trained 2 more.
    assert "Stopping saved 60 of 120 epochs (50%)" in text
    assert "the audit trained 20 of them: 40 were saved net (33%)" in text
    rows = audit_rows(audit_findings(records, study_of(tmp_path, AUDITED)))
    assert rows[1:] == [["1", "30", "10", "3"]]


def test_a_regret_of_nothing_is_said_with_what_it_may_be(part):
    text = part([*RAN_ON, stopped(10, 0.7), stopped(11)])
    assert "None of them would have been better than the best: the regret is 0" in text
    assert "Of the 1 that it did not see up to 1 may have been better" in text
    text = part([*RAN_ON, stopped(10, 0.7)])
    assert "Every stopped trial was audited." in text


def test_where_there_is_nothing_to_say_that_is_said(part):
    assert part(RAN_ON, SPACE) == ""
    assert "No trial was stopped" in part(RAN_ON)
    assert "Nothing is known of what stopping cost." in part([*RAN_ON, stopped(9)])
    assert "nothing to compare them with" in part([stopped(9, 0.1)])
    failed, running = stopped(9, 0.1), stopped(10, 0.1)
    failed.error, running.status = "ValueError: broken", Status.RUNNING
    text = part([*RAN_ON, failed, running])
    assert "0 of 2 stopped trials**. 1 is on the way." in text
    assert "1 ended with an error" in text


SIGNALS = SPACE.replace("seed: 5", "seed: 5, grace_epochs: 2, stop_on_signal: true")


def after_an_epoch(number, rank, end):
    one = record(number, [0.9, 0.9, end])
    one.history[1] |= dict.fromkeys(FEATURES, 1.0) | {"feature_rank": rank}
    return one


def test_the_rule_is_shown_with_the_verdict_of_its_audit(part):
    good = [after_an_epoch(n, 8.0 + n, 0.1) for n in range(10)]
    bad = [after_an_epoch(n, 1.5 + n / 50, 0.8) for n in range(10, 30)]
    by_asha = record(40, [0.9, 0.9], Status.STOPPED)
    text = part([*good, *bad, by_asha, stopped(41, 0.05), stopped(42)], SIGNALS)
    assert "What stopping cost" not in text  # nobody asked for that audit
    assert "the best one in 3 was below 10%" in text
    assert "at the end 10 good and 20 other trials" in text
    assert "`gram_deviation_max` +0.00, `feature_rank` +" in text
    assert "Audited: **1 of 2 stopped trials**" in text
    assert "1 of the 1 would have been among the best 5" in text


def test_where_no_rule_was_learned_that_is_said(part):
    assert "it takes 5 of each, and there are 0 good and 0 other" in part([], SIGNALS)
    early = SIGNALS.replace("grace_epochs: 2", "grace_epochs: 1")
    assert "nothing is left to a signal" in part([], early)
