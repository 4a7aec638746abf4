"""Which figures of a search answer, and what they say of a trial."""

from orthotune.figures.live import LivePage
from orthotune.record.trial_record import Status
from orthotune.report.drawn import live_page, placed
from orthotune.report.findings import find
from tests.report.searched import ended


def page_of(study, records):
    findings = find(study, records)
    return live_page(findings, placed(findings))


def test_hovering_tells_how_a_trial_ended_and_its_values_in_effect(study):
    records = [
        ended(0, **{"regularizer.kind": "none", "regularizer.coeff": 0.5}),
        ended(1, Status.STOPPED, [0.8], **{"regularizer.coeff": 0.25}),
    ]
    page = page_of(study, records)
    assert list(page.figures) == ["budget", "curves", "parallel", "slices"]
    assert page.notes["0"].split("\n") == [
        "trial 0: finished at epoch 3",
        "val_error = 0.4",
        "optimizer.lr = 0.03",
        "optimizer.momentum = 0.5",
        "regularizer.kind = none",
    ]
    assert page.notes["1"].startswith("trial 1: stopped at epoch 1\n")
    assert page.notes["1"].endswith("regularizer.coeff = 0.25")


def test_every_mark_has_a_note(study):
    page = page_of(study, [ended(n, errors=[0.5, 0.4, 0.01 * n]) for n in range(30)])
    keys = {
        key
        for one in page.figures.values()
        for trace in one.traces
        for key in trace.get("customdata", ())
        if key is not None
    }
    assert keys == set(page.notes) == {str(number) for number in range(30)}


def test_without_a_result_nothing_answers(study):
    assert page_of(study, []) == LivePage()
