"""What each choice of a search came to."""

import random

import pytest

from orthotune.figures.parallel_coordinates import Line, draw_parallel
from orthotune.record.standings import equal_budget
from orthotune.record.trial_record import Status
from orthotune.report import choices
from orthotune.report.choices import choice_rows
from orthotune.report.importance import importances
from orthotune.report.in_effect import in_effect
from orthotune.report.ranking import best_rows
from orthotune.study.study_file import read_study
from tests.made_records import record

STUDY = """\
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1, log: true}
  modulation.enabled: {type: categorical, choices: [true, false]}
  modulation.schedule.kind:
    {type: categorical, choices: [constant, window], when: {modulation.enabled: true}}
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return read_study(str(path))


def rows(study, records, epoch=1):
    return choice_rows(study, records, equal_budget(records, "val_error"), epoch)


def test_each_choice_has_its_trials_their_median_and_the_best(study):
    on, off = {"modulation.enabled": True}, {"modulation.enabled": False}
    window = {**on, "modulation.schedule.kind": "window"}
    records = [
        record(0, [0.5, 0.25], **on, **{"modulation.schedule.kind": "constant"}),
        record(1, [0.75, 0.125], **window),
        record(2, [0.5], Status.STOPPED, **window),
        record(3, [0.875, 0.5], **off),
        record(4, [0.5, 0.0], Status.DIVERGED, **off),
    ]
    header, *found = rows(study, records)
    assert header == [
        "parameter",
        "choice",
        "trials",
        "median at epoch 1",
        "to the end",
        "best val_error",
    ]
    assert found == [
        ["modulation.enabled", "True", "3", "0.5000", "2", "0.1250 (trial 1)"],
        ["modulation.enabled", "False", "1", "0.8750", "1", "0.5000 (trial 3)"],
        [
            "modulation.schedule.kind",
            "constant",
            "1",
            "0.5000",
            "1",
            "0.2500 (trial 0)",
        ],
        ["modulation.schedule.kind", "window", "2", "0.6250", "1", "0.1250 (trial 1)"],
    ]


def test_a_choice_that_is_not_read_is_not_counted(study):
    """A window of a modulation that is off; without `when` a searcher draws one."""
    records = [
        record(
            0,
            [0.5],
            **{"modulation.enabled": False, "modulation.schedule.kind": "window"},
        )
    ]
    found = rows(study, records)[1:]
    assert [row[2] for row in found] == ["0", "1", "0", "0"]
    assert found[-1] == ["modulation.schedule.kind", "window", "0", "-", "0", "-"]


def test_without_an_epoch_that_enough_have_reached_there_is_no_median(study):
    header, first, *_ = rows(study, [record(0, [0.5])], epoch=None)
    assert header == ["parameter", "choice", "trials", "to the end", "best val_error"]
    assert first == ["modulation.enabled", "True", "0", "0", "-"]


def test_nothing_is_said_of_nothing(study):
    assert len(rows(study, [])) == 1


def test_a_record_is_looked_at_once_however_many_choices_there_are(study, monkeypatch):
    looked = []

    def counting(parameters, record):
        looked.append(record.number)
        return in_effect(parameters, record)

    monkeypatch.setattr(choices, "in_effect", counting)
    records = [record(n, [0.5, 0.5], **{"modulation.enabled": True}) for n in range(9)]
    rows(study, records)
    assert sorted(looked) == sorted([*range(9), *range(9)])  # all, and those compared


def test_a_joint_choice_is_one_parameter_in_tables_and_importances(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "space:\n"
        "  optimizer.lr: {type: float, low: 1e-3, high: 1, log: true}\n"
        "  size:\n    type: joint\n    choices:\n"
        "      - {model.widths: [4, 4, 4], data.batch_size: 64}\n"
        "      - {model.widths: [4, 4, 8], data.batch_size: 32}\n"
    )
    study = read_study(str(path))
    rates = random.Random(0)
    records = []
    for number in range(40):
        small = number % 2
        fields = study.space.parameters[1].assigned(
            ([4, 4, 8], 32) if small else ([4, 4, 4], 64)
        )
        lr = 10 ** rates.uniform(-3, 0)
        error = 0.25 + 0.5 * small + 0.01 * rates.random()
        records.append(record(number, [error, error], **fields, **{"optimizer.lr": lr}))
    _, *found = rows(study, records)
    assert [row[:3] for row in found] == [
        ["size", "([4, 4, 4], 64)", "20"],
        ["size", "([4, 4, 8], 32)", "20"],
    ]
    (one,) = importances(study.space.parameters, records, "val_error", 0)
    assert max(one.fanova, key=one.fanova.__getitem__) == "size"
    assert one.fanova["size"] > 0.9
    header, best, *_ = best_rows(
        equal_budget(records, "val_error"), "val_error", study.space.parameters
    )
    assert best[header.index("size")] == "([4, 4, 4], 64)"
    draw_parallel(
        tmp_path / "lines.svg",
        "val_error",
        study.space.parameters,
        compared=[
            Line(values=in_effect(study.space.parameters, one), metric=0.5)
            for one in records[:4]
        ],
        others=[],
    )
    assert "size" in (tmp_path / "lines.svg").read_text()
