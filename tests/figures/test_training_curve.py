import math

import pytest

from orthotune.config.trial import TrialConfig
from orthotune.figures.training_curve import write_training_curve

CONFIG = TrialConfig.from_dict({"model.depth": 8, "seed": 3})
EPOCHS = [
    {"train_loss": 2 / n, "val_loss": 2.2 / n, "val_error": 0.9 / n, "lr": 0.1, "x": n}
    for n in range(1, 6)
]


def test_an_svg_names_its_curves_and_keeps_its_text(tmp_path):
    write_training_curve(tmp_path / "a.svg", EPOCHS, CONFIG)
    text = (tmp_path / "a.svg").read_text()
    for word in (
        "plain-8 on digits, seed 3",
        "train_loss",
        "val_loss",
        "error",
        "lr",
        "epoch",
    ):
        assert f">{word}<" in text


def test_a_png_is_one(tmp_path):
    write_training_curve(tmp_path / "a.png", EPOCHS, CONFIG)
    content = (tmp_path / "a.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    assert (width, height) == (1050, 1050)


def test_a_page_holds_the_figure_and_every_number(tmp_path):
    epochs = [*EPOCHS[:-1], {**EPOCHS[-1], "test_error": 0.1234}]
    write_training_curve(tmp_path / "a.html", epochs, CONFIG)
    text = (tmp_path / "a.html").read_text()
    assert "<h1>plain-8 on digits, seed 3</h1>" in text
    assert "<svg" in text
    assert text.count("<tr>") == 6
    assert "<td>0.1234</td>" in text
    assert list(tmp_path.iterdir()) == [tmp_path / "a.html"]


@pytest.mark.parametrize("last", [EPOCHS[0], {**EPOCHS[0], "val_loss": 1e6, "lr": 0.0}])
def test_a_single_epoch_and_one_that_diverged_are_drawn(last, tmp_path):
    assert all(map(math.isfinite, last.values()))
    write_training_curve(tmp_path / "a.svg", [last], CONFIG)
    assert (tmp_path / "a.svg").stat().st_size > 1000
