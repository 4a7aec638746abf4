"""Which trials are confirmed, with which seeds, what is due next, and which is best."""

from dataclasses import replace

import pytest

from orthotune.config.trial import TrialConfig
from orthotune.record.confirmation import (
    best_searched,
    find_confirmation,
    suggest_due,
    with_recorded,
)
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.report.search_report import write_report
from orthotune.schema.yaml_file import read_mapping
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import ConfirmSettings, SearchSettings, StudySettings
from orthotune.study.study_file import read_study
from tests.made_records import metrics
from tests.studies import PBT

DATA = {"digits": "1797"}


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "pbt.yaml"
    path.write_text(PBT)
    return read_study(str(path))


def trial(number, value, validates=None, status=Status.FINISHED, **fields):
    return TrialRecord(
        number=number,
        key=f"key{number}",
        fields={"optimizer.lr": 0.1, "training.num_epochs": 6},
        history={6: metrics(value, float(status == Status.DIVERGED))},
        status=status,
        validates=validates,
        changed_fields=fields,
    )


def run(number, value, validates, seed, status=Status.FINISHED):
    return trial(number, value, validates, status, seed=seed)


MEMBERS = [
    trial(0, 0.3, **{"optimizer.lr": 0.3}),
    trial(1, 0.1, **{"changes.epochs": [2], "changes.lr": [0.2]}),
    trial(2, 0.2, **{"optimizer.lr": 0.2}),
    trial(3, 0.4),
]


def asked(top, seeds, **search):
    confirm = ConfirmSettings(top=top, seeds=seeds)
    return StudySettings(search=SearchSettings(max_epochs=6, confirm=confirm, **search))


def searched(*values):
    """Trials of a search, each with a learning rate of its own."""
    return [
        trial(number, value, **{"optimizer.lr": 0.01 * (number + 1)})
        for number, value in enumerate(values)
    ]


# What is due


def test_the_three_best_are_confirmed_with_seeds_that_are_the_same_for_all(study):
    due = find_confirmation(study.settings, MEMBERS).due
    assert [number for number, _ in due] == [1, 2, 0] * 2
    assert [fields["seed"] for _, fields in due] == [1] * 3 + [2] * 3
    assert due[0][1]["changes.lr"] == [0.2]


def test_equal_configurations_are_confirmed_once(study):
    alike = [trial(number, 0.1 * (number + 1)) for number in range(4)]
    due = find_confirmation(study.settings, alike).due
    assert [number for number, _ in due] == [0, 0]


def test_two_trials_that_differ_in_their_seed_alone_are_one_candidate():
    trials = [trial(0, 0.3, seed=7), trial(1, 0.2, seed=3), trial(2, 0.4, model=1)]
    trials[2].changed_fields = {"optimizer.lr": 0.5}
    due = find_confirmation(asked(5, 1), trials).due
    assert [(number, fields["seed"]) for number, fields in due] == [(1, 8), (2, 8)]


def test_only_trials_with_a_full_budget_are_confirmed():
    trials = searched(0.3, 0.2, 0.1, 0.15)
    trials[2].status = Status.DIVERGED
    trials[3].status = Status.STOPPED
    due = find_confirmation(asked(3, 1), trials).due
    assert [number for number, _ in due] == [1, 0]


def test_nothing_is_confirmed_where_a_search_does_not_ask_for_it():
    found = find_confirmation(StudySettings(), searched(0.3, 0.2))
    assert (found.candidates, found.due, found.num_left) == ([], [], 0)


VALUES = {
    1: [0.20, 0.22, 0.21, 0.20],
    2: [0.21, 0.20, 0.22, 0.20],
    0: [0.90, 0.96, 0.93, 0.91],
}
"""By candidate what its runs come to; the last is worse beyond doubt after three."""


def raced(settings, records):
    """Run what is due to the end; the records, in the order of their suggestion."""
    records = list(records)
    while due := find_confirmation(settings, records).due:
        for number, fields in due:
            value = VALUES[number][fields["seed"] - 1]
            records.append(run(len(records), value, number, fields["seed"]))
    return records


def test_a_candidate_that_is_worse_beyond_doubt_gets_no_further_seeds():
    records = raced(asked(3, 4), searched(0.3, 0.1, 0.2))
    cells = [(record.validates, record.trained["seed"]) for record in records[3:]]
    rounds = [[(1, seed), (2, seed), (0, seed)] for seed in (1, 2, 3)]
    assert cells == [*rounds[0], *rounds[1], *rounds[2], (1, 4), (2, 4)]
    found = find_confirmation(asked(3, 4), records)
    assert [one.record.number for one in found.candidates] == [1, 2, 0]
    assert [one.left_after for one in found.candidates] == [None, None, 3]
    assert found.num_left == 0


def test_whatever_a_death_leaves_the_rest_is_that_of_the_uninterrupted_study():
    settings, trials = asked(3, 4), searched(0.3, 0.1, 0.2)
    whole = raced(settings, trials)
    for known in range(len(trials), len(whole) + 1):
        assert raced(settings, whole[:known]) == whole


def test_nothing_is_due_before_every_run_of_a_round_has_ended():
    settings, trials = asked(3, 4), searched(0.3, 0.1, 0.2)
    whole = raced(settings, trials)
    batches = [range(3, 9), range(9, 12), range(12, 14)]  # the first is of two seeds
    for batch in batches:
        for last in batch:  # whichever ends last
            records = whole[: batch.stop]
            records[last] = replace(records[last], status=Status.RUNNING)
            assert find_confirmation(settings, records).due == []


def test_more_seeds_extend_what_is_there():
    trials = searched(0.3, 0.1, 0.2)
    fewer = raced(asked(3, 3), trials)
    more = raced(asked(3, 4), fewer)
    assert more[: len(fewer)] == fewer
    assert [r.trained["seed"] for r in more[len(fewer) :]] == [4, 4]


def test_what_was_begun_is_confirmed_to_its_end_when_better_trials_come():
    trials = searched(0.3, 0.1)
    begun = [*trials, run(2, 0.2, 1, 1)]
    later = [*begun, trial(3, 0.05, **{"optimizer.lr": 0.7})]
    due = find_confirmation(asked(1, 2), later).due
    assert [(number, fields["seed"]) for number, fields in due] == [
        (3, 1),
        (3, 2),
        (1, 2),
    ]


def test_a_run_without_a_value_takes_its_candidate_out_of_the_race():
    trials = searched(0.1, 0.2)
    records = [
        *trials,
        run(2, 0.9, 0, 1, Status.FAILED),
        run(3, 0.2, 1, 1),
        run(4, 0.2, 0, 2),
        run(5, 0.3, 1, 2),
    ]
    found = find_confirmation(asked(2, 2), records)
    first, second = found.candidates
    assert (first.record.number, first.mean) == (1, 0.25)
    assert (second.failed, second.left_after, second.complete) == (True, 2, False)
    assert not found.due


def test_the_record_says_what_was_begun_and_a_study_asks_for_no_less(tmp_path):
    settings = asked(2, 2)
    study = Study(path="a.yaml", settings=settings, space=SearchSpace(parameters=()))
    log = EventLog(tmp_path / "record.jsonl")
    log.append({"event": "study", "format": 1, "id": "x", "time": 1})
    journal = Journal(log, max_epochs=1)
    for lr in (0.1, 0.2):
        record = journal.suggest(f"k{lr}", {"optimizer.lr": lr, "data.name": "digits"})
        journal.start(record.number)
        journal.report(record.number, 1, metrics(lr))
        journal.end(record.number, Status.FINISHED)
    suggest_due(study, journal, DATA)
    assert [r.validates for r in journal.confirming] == [0, 1, 0, 1]
    log.close()
    again = Journal(EventLog(tmp_path / "record.jsonl"), max_epochs=1)
    assert again.confirm == settings.search.confirm
    assert len(again.confirming) == 4

    def now(top, seeds):
        other = Study(path="a.yaml", settings=asked(top, seeds), space=study.space)
        found = with_recorded(other, again).settings.search.confirm
        return found.top, found.seeds

    assert now(0, 3) == (2, 2)  # it does not say, or takes it back
    assert now(1, 5) == (2, 5)
    assert now(3, 1) == (3, 2)


# What is best


def test_the_best_is_the_one_whose_schedule_is_best_from_scratch(study, tmp_path):
    records = [
        *MEMBERS,
        *(run(4 + i, value, 1, 1 + i) for i, value in enumerate([0.5, 0.4])),
        *(run(6 + i, value, 2, 1 + i) for i, value in enumerate([0.25, 0.15])),
        run(8, 0.01, 0, 1),
        run(9, 1.0, 0, 2, Status.FAILED),
    ]
    found = find_confirmation(study.settings, records)
    assert [item.record.number for item in found.candidates] == [2, 1, 0]
    assert [item.complete for item in found.candidates] == [True, True, False]
    best = best_searched(study.settings, records)
    assert (best.record.number, best.value, best.confirmed) == (2, 0.2, True)
    report = write_report(study, tmp_path, records, ["abc"])
    assert [record.number for record in report.best] == [2, 1]
    assert report.value == pytest.approx(0.2)
    first, second, third, fourth = report.table.splitlines()[1:]
    interval = ["[-0.4353,", "0.8353]"]
    ends = ["2", "0.2000", "+0.0000", "to", "the", "end"]
    assert first.split()[:11] == ["1", "2", "0.2000", *interval, *ends]
    assert "0.1 to 0.2" in second
    assert third.split()[:8] == "- 0 0.0100 - 1 0.3000 -0.2900 a".split()
    assert fourth.split()[:8] == "- 3 - - 0 0.4000 - -".split()
    assert (
        "mean of 0.2500, 0.1500; 0.2000 in the population"
        in (report.best_file.read_text().splitlines()[0])
    )
    assert [path.name for path in report.schedules] == [
        "trial-0001.yaml",
        "trial-0002.yaml",
        "trial-0000.yaml",
        "trial-0003.yaml",
    ]
    again = read_mapping(str(report.schedules[0])).data
    assert TrialConfig.from_dict(again).value("lr", 2) == 0.2


def test_a_run_that_diverges_counts_with_the_worst(study):
    records = [
        *MEMBERS,
        run(4, 0.0, 1, 1),
        run(5, 1.0, 1, 2, Status.DIVERGED),
    ]
    best = find_confirmation(study.settings, records).candidates[0]
    assert (best.values, best.complete, best.mean) == ([0.0, 1.0], True, 0.5)


def test_of_a_population_nothing_unconfirmed_is_called_best(study, tmp_path):
    assert best_searched(study.settings, MEMBERS) is None
    report = write_report(study, tmp_path, MEMBERS, [])
    assert report.best == []
    assert report.value is report.best_file is None
    assert not (tmp_path / "best.yaml").exists()
    assert [line.split()[0] for line in report.table.splitlines()[1:]] == ["-"] * 4


def test_the_best_of_a_search_is_the_confirmed_one_and_not_the_first():
    records = [
        *searched(0.1, 0.2),
        *(run(2 + i, 0.3, 0, 1 + i) for i in range(2)),
        *(run(4 + i, 0.25, 1, 1 + i) for i in range(2)),
    ]
    best = best_searched(asked(2, 2), records)
    assert (best.record.number, best.value, best.confirmed) == (1, 0.25, True)
    first = best_searched(asked(2, 2), records[:5])  # one is not yet there
    assert (first.record.number, first.value) == (0, 0.3)
    assert not best_searched(asked(2, 2), records[:2]).confirmed


def test_a_best_is_known_without_the_plugin_whose_parts_it_has():
    trials = [
        trial(number, value, **{"optimizer.name": "theirs"})
        for number, value in enumerate([0.3, 0.2])
    ]
    runs = [run(2, 0.25, 1, 1)]
    best = best_searched(asked(top=1, seeds=1), [*trials, *runs])
    assert (best.record.number, best.value, best.confirmed) == (1, 0.25, True)
