"""The figures of a search: what is drawn, by the numbers in them."""

import xml.etree.ElementTree as ET

import pytest
import torch

from orthotune.config.changes import CHANGEABLE
from orthotune.config.trial import TrialConfig
from orthotune.figures.parallel_coordinates import Line, draw_parallel
from orthotune.figures.search_figures import (
    POINTS,
    best_so_far,
    draw_budget,
    draw_schedules,
    spending,
)
from orthotune.nn.networks import PlainCNN
from orthotune.record.standings import equal_budget
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.training.update import Update
from tests.made_records import record
from tests.report.searched import LR


def test_epochs_are_counted_in_the_order_in_which_they_were_reported():
    one, two = record(0, [0.9, 0.8, 0.3]), record(1, [0.7, 0.4])
    one.reported_ms = {1: 10, 2: 30, 3: 60}
    two.reported_ms = {1: 20, 2: 40}
    spent = spending([one, two])
    assert (spent.at, spent.total) == ({0: 5, 1: 4}, 5)


def test_the_best_so_far_goes_down_at_the_end_of_trials_of_equal_budget():
    records = [
        record(0, [0.9, 0.6]),
        record(1, [0.1], Status.STOPPED),  # too short to be compared
        record(2, [0.8, 0.7]),
        record(3, [0.8, 0.2]),
        record(4, [1.0], Status.DIVERGED),
    ]
    steps = best_so_far(
        "val_error", equal_budget(records, "val_error"), spending(records)
    )
    assert steps == [(2, 0.6), (5, 0.6), (7, 0.2), (8, 0.2)]


def test_the_budget_figure_marks_how_trials_ended(figure, tmp_path):
    records = [
        record(0, [0.9, 0.6]),
        record(1, [0.7], Status.STOPPED),
        record(2, [1.0], Status.DIVERGED),
        record(3, [0.95], Status.OOM),
        record(4, [0.8], Status.INTERRUPTED),
        record(5, [], Status.FAILED),
    ]
    compared = equal_budget(records, "val_error")
    draw_budget(tmp_path / "x.svg", "val_error", records, compared)
    (axes,) = figure.axes
    marks = {m.get_label(): m.get_offsets().tolist() for m in axes.collections}
    assert marks == {
        "full budget": [[2.0, 0.6]],
        "stopped early": [[3.0, 0.7]],
        "interrupted": [[6.0, 0.8]],
        # At the upper edge, which is that of those that have a value.
        "diverged": [[4.0, 0.8]],
        "out of memory": [[5.0, 0.8]],
    }


def test_what_diverges_to_a_million_does_not_flatten_the_rest(figure, tmp_path):
    records = [record(0, [0.5]), record(1, [1e6], Status.DIVERGED)]
    draw_budget(tmp_path / "x.svg", "val_error", records, records[:1])
    assert figure.axes[0].get_ylim()[1] < 1


def test_the_best_line_is_not_flattened_by_bad_trials(figure, tmp_path):
    good = [record(n, [0.9, error]) for n, error in enumerate([0.03, 0.02, 0.01])]
    bad = [record(n, [0.85], Status.STOPPED) for n in range(3, 9)]
    draw_budget(tmp_path / "x.svg", "val_error", [*good, *bad], good)
    (axes,) = figure.axes
    (line,) = axes.lines
    inside = axes.transData + axes.transAxes.inverted()
    heights = [inside.transform((0, value))[1] for value in line.get_ydata()]
    assert 0 < min(heights)
    assert max(heights) - min(heights) > 0.15


def test_schedules_are_those_that_the_updates_are_given(figure, tmp_path):
    fields = {
        "model.depth": 8,
        "training.num_epochs": 6,
        "optimizer.lr": 0.02,
        "modulation.schedule.kind": "window",
        "modulation.schedule.stop": 0.4,
    }
    changed_fields = {
        "changes.epochs": [3],
        "changes.lr": [0.05],
        "changes.coeff": [0.2],
    }
    trial = TrialRecord(number=7, fields=fields, changed_fields=changed_fields)
    draw_schedules(tmp_path / "x.svg", [trial])
    config = TrialConfig.from_dict({**fields, **changed_fields})
    model = PlainCNN(depth=8, in_channels=1)
    update = Update(config, model, torch.zeros(2, 1, 8, 8))
    updates = POINTS // 6
    given = torch.cat([update.settings(epoch, updates) for epoch in range(6)])
    for axes, name, column in zip(figure.axes, CHANGEABLE, given.T, strict=True):
        (line,) = axes.lines
        assert axes.get_title() == CHANGEABLE[name]
        assert line.get_label() == "trial 7"
        assert line.get_ydata() == pytest.approx(column.tolist(), rel=1e-13, abs=1e-17)
        assert line.get_xdata()[[0, -1]].tolist() == pytest.approx([0.0125, 5.9875])


def test_an_ingredient_that_is_off_has_no_curve(figure, tmp_path):
    fields = {"modulation.enabled": False, "regularizer.kind": "none"}
    draw_schedules(tmp_path / "x.svg", [TrialRecord(number=0, fields=fields)])
    assert [len(axes.lines) for axes in figure.axes] == [1, 0, 0, 0]
    assert [axes.texts[0].get_text() for axes in figure.axes[1:]] == ["off"] * 3


@pytest.mark.parametrize("count", [0, 1])
def test_a_figure_of_next_to_nothing_is_still_one(count, tmp_path):
    records = [record(n, [0.5]) for n in range(count)]
    lines = [Line(values={"optimizer.lr": 0.01}, metric=0.5)] * count
    draw_budget(tmp_path / "budget.svg", "val_error", records, records)
    draw_parallel(tmp_path / "one.svg", "val_error", [LR], lines, [])
    draw_parallel(tmp_path / "grey.svg", "val_error", [LR], [], lines)
    for path in tmp_path.glob("*.svg"):
        assert ET.parse(path).getroot().tag.endswith("svg")
