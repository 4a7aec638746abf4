import pytest

from orthotune.api import read_config
from orthotune.record.confirmation import find_confirmation
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.report.front import find_front, volumes
from orthotune.report.search_report import write_report
from orthotune.study.study_file import read_study
from tests.made_records import record

ASKED = {
    "name": "compromises",
    "metric": ["val_error", "num_macs"],
    "search": {
        "searcher": "nsga2",
        "scheduler": "none",
        "max_epochs": 2,
        "confirm": {"top": 2, "seeds": 2},
    },
    "space": {"optimizer.lr": {"type": "float", "low": 0.001, "high": 1, "log": True}},
}
COMPROMISES = [
    (0.1, 9e8),
    (0.2, 5e8),
    (0.2, 6e8),
    (0.15, 9.5e8),
    (0.5, 1e8),
    (0.19, 9e8),
]
"""Of which numbers 0, 1 and 4 are on the front."""


def ended(number, error, macs, *, status=Status.FINISHED, **how):
    found = record(number, [0.9, error], status, **how)
    for epoch in found.history.values():
        epoch["num_macs"] = macs
    return found


def trials():
    return [
        *(ended(n, *values) for n, values in enumerate(COMPROMISES)),
        ended(6, 1.0, 1.0, status=Status.DIVERGED),
    ]


def confirmed(records, number, seed, error, place):
    run = ended(place, error, dict(enumerate(COMPROMISES))[number][1], seed=seed)
    fields = {**records[number].fields, "seed": seed}
    return TrialRecord(
        number=place,
        fields=fields,
        history=run.history,
        status=Status.FINISHED,
        validates=number,
    )


def seeds_of(due):
    return sorted((number, fields["seed"]) for number, fields in due)


def test_a_report_of_several_metrics_shows_the_front_and_no_best(tmp_path):
    study = read_study(ASKED)
    report = write_report(study, tmp_path, trials(), ["abc"])
    assert [one.number for one in report.best] == [0, 1, 4]
    assert report.best_file is None
    assert not (tmp_path / "best.yaml").exists()
    files = sorted(path.name for path in (tmp_path / "front").iterdir())
    assert files == ["trial-0000.yaml", "trial-0001.yaml", "trial-0004.yaml"]
    assert read_config(str(tmp_path / "front" / files[1]), {}).optimizer.lr == 0.02
    text = (tmp_path / "report.md").read_text()
    assert "# compromises: the smallest val_error and num_macs" in text
    assert "**The front**: 3 of the 6 trials that ran 2 epochs" in text
    assert "| 0     | 0.1000    | 900,000,000 |" in text
    assert "front.svg" in text
    drawn = (tmp_path / "front.svg").read_text()
    assert all(words in drawn for words in ("num_macs", "hypervolume", "dominated"))
    assert report.metrics == {"val_error": 0.1, "num_macs": 1e8, "front_size": 3}
    assert report.worked


def test_members_that_leave_the_front_leave_no_file(tmp_path):
    study = read_study(ASKED)
    write_report(study, tmp_path, trials(), ["abc"])
    write_report(study, tmp_path, [*trials(), ended(7, 0.05, 1e7)], ["abc"])
    files = [path.name for path in (tmp_path / "front").iterdir()]
    assert files == ["trial-0007.yaml"]


def test_members_of_the_front_are_confirmed_without_a_race(
    tmp_path,
):
    study, records = read_study(ASKED), trials()
    due = find_confirmation(study.settings, records).due
    # Two of the front, which dominate the most, with two seeds each.
    assert seeds_of(due) == [(1, 1), (1, 2), (4, 1), (4, 2)]
    records += [
        confirmed(records, number, seed, error, 7 + place)
        for place, (number, seed, error) in enumerate(
            [(1, 1, 0.9), (1, 2, 0.8), (4, 1, 0.1), (4, 2, 0.2)]
        )
    ]
    assert find_confirmation(study.settings, records).due == []
    found = find_front(study, records)
    assert found.means[1] == pytest.approx((0.85, 5e8))
    assert found.means[4] == pytest.approx((0.15, 1e8))
    assert found.num_seeds == {1: 2, 4: 2}
    assert [one.number for one in found.members] == [0, 1, 4]  # no run that confirms
    write_report(study, tmp_path, records, ["abc"])
    text = (tmp_path / "report.md").read_text()
    assert "mean val_error" in text
    assert "0.8500" in text
    assert "mean of fresh seeds" in (tmp_path / "front.svg").read_text()


def test_a_run_that_fails_leaves_the_others_to_be_confirmed():
    study, records = read_study(ASKED), trials()
    run = confirmed(records, 1, 1, 0.9, 7)
    run.status = Status.FAILED
    due = find_confirmation(study.settings, [*records, run]).due
    assert sorted((number, fields["seed"]) for number, fields in due) == [
        (4, 1),
        (4, 2),
    ]


def test_a_run_that_diverges_counts_in_the_mean_of_its_member():
    study, records = read_study(ASKED), trials()
    runs = [confirmed(records, 1, 1, 0.2, 7), confirmed(records, 1, 2, 1.0, 8)]
    runs[1].status = Status.DIVERGED
    found = find_front(study, [*records, *runs])
    assert found.means[1] == pytest.approx((0.6, 5e8))
    assert found.num_seeds == {1: 2}


def test_a_hypervolume_never_falls():
    found = volumes(trials()[:6], ["val_error", "num_macs"])
    shares = [share for _, share in found]
    assert shares == sorted(shares)
    # The box is 0.1 to 0.5 by 1e8 to 9.5e8: (0, 16/17), (1/4, 8/17), (1, 0) and below.
    assert shares[-1] == pytest.approx(1 - (16 / 17 * 1 / 4 + 8 / 17 * 3 / 4))


def test_metrics_that_measure_time_are_said_to_be_noisy(tmp_path):
    study = read_study({**ASKED, "metric": ["val_error", "epoch_time_s"]})
    write_report(study, tmp_path, trials(), ["abc"])
    assert "is a measured time" in (tmp_path / "report.md").read_text()
