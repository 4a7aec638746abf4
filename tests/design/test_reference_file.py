"""The reference of an ablation may be the best of a search."""

import pytest

from orthotune.config.config_file import config_text
from orthotune.config.trial import TrialConfig
from orthotune.design.ablation_file import read_ablation
from orthotune.errors import AblationError

FOUND = {
    "model.depth": 8,
    "optimizer.lr": 0.037,
    "seed": 4,
    "training.num_epochs": 3,
    "training.evaluate_test": True,
    "modulation.threshold": 0.25,
}
FILE = """\
name: after
question: Does what was found need modulation?
full: found/best.yaml
factors:
  modulation: {on: {modulation.enabled: true}, off: {modulation.enabled: false}}
seeds: [1, 2]
claims:
  - {better: full, than: modulation=off}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "found").mkdir()
    text = config_text(TrialConfig.from_dict(FOUND), ["The best."])
    (tmp_path / "found" / "best.yaml").write_text(text)
    (tmp_path / "after.yaml").write_text(FILE)
    return tmp_path


def test_full_may_be_a_file_beside_it(folder, monkeypatch):
    monkeypatch.chdir("/")
    ablation = read_ablation(str(folder / "after.yaml"))
    full, off = (TrialConfig.from_dict(arm.fields) for arm in ablation.arms)
    assert (full.optimizer.lr, full.modulation.threshold) == (0.037, 0.25)
    assert (full.seed, full.training.evaluate_test) == (0, False)
    assert (off.optimizer.lr, off.modulation.enabled) == (0.037, False)
    assert ablation.num_epochs == 3


def test_what_is_set_for_one_run_stands_above_the_file(folder):
    ablation = read_ablation(str(folder / "after.yaml"), {"optimizer.lr": 0.5})
    assert [arm.fields["optimizer.lr"] for arm in ablation.arms] == [0.5, 0.5]


def test_a_first_level_that_is_not_the_files_is_refused(folder):
    best = folder / "found" / "best.yaml"
    best.write_text("modulation.enabled: false\n")
    with pytest.raises(AblationError, match="must be as in the reference, False"):
        read_ablation(str(folder / "after.yaml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"after\.yaml:3: `full` must hold fields, or be the path .*best\.yaml"),
        (
            "model.depht: 8\n",
            r"after\.yaml:3: `full` must .*Did you mean .model\.depth",
        ),
        ("- 1\n", r"after\.yaml:3: `full` must hold fields"),
    ],
)
def test_a_file_that_is_none_is_refused_with_both_places(folder, text, words):
    best = folder / "found" / "best.yaml"
    best.unlink()
    if text is not None:
        best.write_text(text)
    with pytest.raises(AblationError, match=words) as caught:
        read_ablation(str(folder / "after.yaml"))
    assert len(str(caught.value).replace(str(folder), "")) <= 400
