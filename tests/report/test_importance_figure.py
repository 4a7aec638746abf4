"""Importances as bars."""

from matplotlib.figure import Figure

from orthotune.report import importance_figure
from orthotune.report.importance import EVERY, Importance


def test_bars_are_the_shares_by_both_methods(monkeypatch, tmp_path):
    figure = Figure(figsize=(8, 4))
    monkeypatch.setattr(
        importance_figure, "draw_svg", lambda _path, _size, draw: draw(figure)
    )
    found = [
        Importance(
            group=group,
            num_trials=30,
            epoch=4,
            num_used=20,
            fanova={"b": 0.75, "a": 0.25},
            ped_anova={"a": 0.5, "b": 0.5},
        )
        for group in (EVERY, "trials with modulation.enabled = True")
    ]
    importance_figure.draw_importances(tmp_path / "x.svg", found)
    assert [axes.get_title() for axes in figure.axes] == [
        "all trials (20, at epoch 4)",
        "trials with modulation.enabled = True (20, at epoch 4)",
    ]
    for axes in figure.axes:
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == ["b", "a"]
        assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25, 0.5, 0.5]
