from orthotune.record.trial_record import Status
from orthotune.report.findings import find
from tests.report.searched import ended


def numbers(records):
    return [record.number for record in records]


def test_what_has_a_result_is_either_compared_or_one_of_the_others(study):
    records = [
        ended(0, errors=(0.9, 0.5, 0.4)),
        ended(1, Status.STOPPED, (0.1,)),
        ended(2, Status.DIVERGED, (0.9, 1.0)),
        ended(3, Status.FAILED, ()),
        ended(4, errors=(0.9, 0.5, 0.2)),
    ]
    findings = find(study, records)
    assert numbers(findings.compared) == [4, 0]  # the best first
    assert numbers(findings.others) == [1, 2]


def test_the_schedules_of_the_three_best_are_previewed(study):
    records = [ended(n, errors=(0.9, 0.5, 0.1 * (n + 1))) for n in range(5)]
    assert numbers(find(study, records[::-1]).previewed) == [0, 1, 2]
