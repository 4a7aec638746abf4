import pytest

from orthotune.record.trial_record import Status
from orthotune.report.audit import audit_part, audit_rows
from orthotune.statistics.proportion import exact_count_interval
from orthotune.stopping.audit import audit_findings
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
    assert "**10 of 30 stopped trials** were audited" in text
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
    assert "0 of 2 stopped trials** were audited. 1 is on the way." in text
    assert "1 ended with an error" in text
