"""Slices: where a trial stands in a panel, and which panels it is in."""

import pytest
from matplotlib.figure import Figure

from orthotune.figures import slices
from orthotune.figures.drawing import COLOURS, GREY
from orthotune.figures.slices import Placed, across, draw_slices, live_slices
from orthotune.record.trial_record import Status
from tests.figures.answering import COEFF, LR, ROOT, SPACE, trials
from tests.made_records import record

MADE = trials()


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    figure = Figure(figsize=(8, 4))
    monkeypatch.setattr(slices, "draw_svg", lambda _path, _size, draw: draw(figure))
    draw_slices(tmp_path / "x.svg", "val_error", SPACE, MADE)
    return figure


def test_a_trial_stands_at_the_place_of_its_value_and_pale_if_it_was_stopped(drawn):
    axes = drawn.axes[0]
    assert axes.get_xlabel() == "optimizer.lr"
    full, stopped, diverged = axes.collections
    assert [list(point) for point in full.get_offsets()] == [
        pytest.approx([across(LR, one), one.record.last("val_error")])
        for one in MADE[:10]
    ]
    assert across(LR, Placed(record=record(0, [0.5]), values={LR.name: 0.01})) == 0.5
    assert {y for _, y in stopped.get_offsets()} == {0.8}  # of the last epoch they had
    assert stopped.get_alpha() < 1 == full.get_alpha()
    ((_, top),) = diverged.get_offsets()
    assert top == 0.8


def test_a_value_that_is_not_in_effect_is_in_no_panel(drawn):
    counts = [
        sum(len(kind.get_offsets()) for kind in axes.collections)
        for axes in drawn.axes[:3]
    ]
    assert counts == [30, 30, 15]
    live = live_slices("val_error", SPACE, MADE)
    by_panel = {
        axis: sum(len(one["x"]) for one in live.traces if one["xaxis"] == axis)
        for axis in ("x", "x2", "x3")
    }
    assert list(by_panel.values()) == counts
    assert live.panels == 3


def test_trials_of_one_choice_are_spread_and_those_of_two_do_not_mix():
    places = [across(ROOT, one) for one in MADE]
    first = [
        at
        for at, one in zip(places, MADE, strict=True)
        if one.values["data.root"] != "data"
    ]
    second = [at for at in places if at not in first]
    assert len(set(first)) == len(first) == 15
    assert max(first) < 0.5 < min(second)
    low, high = slices.ends(ROOT)
    assert low < min(first)
    assert max(second) < high


def test_kinds_are_one_entry_of_the_legend_for_all_panels():
    live = live_slices("val_error", SPACE, MADE)
    named = [one["name"] for one in live.traces if one["showlegend"]]
    assert sorted(named) == ["diverged", "full budget", "stopped early"]
    assert {one["legendgroup"] for one in live.traces} == set(named)
    pale = {one["name"] for one in live.traces if one["opacity"] < 1}
    assert pale == {"stopped early"}
    looks = {one["name"]: one["marker"]["color"] for one in live.traces}
    assert looks == {
        "full budget": COLOURS[0],
        "stopped early": GREY,
        "diverged": COLOURS[1],
    }


def test_a_single_choice_and_a_single_trial_are_a_figure_too(tmp_path):
    for status in (Status.DIVERGED, Status.STOPPED):
        one = Placed(record=record(3, [0.5], status), values={COEFF.name: 0.5})
        draw_slices(tmp_path / "x.svg", "val_error", [COEFF], [one])
        assert "regularizer.coeff" in (tmp_path / "x.svg").read_text()
