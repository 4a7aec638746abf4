"""The plan of an ablation."""

from collections import Counter

import pytest

from orthotune.ablation import plan
from orthotune.ablation.ablation_file import read_ablation
from orthotune.training.config import TrialConfig
from tests.ablation.cells import DATA

EXPLICIT = """\
question: Which network takes how long?
design: explicit
full: {model.depth: 20, training.num_epochs: 3, data.name: synthetic}
arms:
  deeper: {model.depth: 44}
  residual: {model.depth: 44, model.family: residual, modulation.enabled: false}
seeds: [1, 2]
resources: {cpus: 2}
"""


@pytest.fixture
def timed(monkeypatch):
    """The networks of which an epoch was timed; they take 0.1 s a layer, or 0.2 s."""
    timed = []

    def epoch(fields, _resources):
        model = TrialConfig.from_dict(fields).model
        timed.append((model.family, model.depth))
        return model.depth * (0.1 if model.family == "plain" else 0.2), 0

    monkeypatch.setattr(plan, "timed_epoch", epoch)
    return timed


def text_of(ablation, storage):
    return plan.plan_text(ablation, DATA, str(storage), num_cpus=2)


def test_families_of_one_depth_are_timed_apart_and_depths_in_proportion(
    tmp_path, timed
):
    path = tmp_path / "explicit.yaml"
    path.write_text(EXPLICIT)
    text = text_of(read_ablation(str(path)), tmp_path)
    assert Counter(timed) == {("plain", 20): 1, ("residual", 44): 1}
    # Two seeds, three epochs: 2 * 3 * (2.0 + 4.4 + 8.8) s, one at a time.
    assert (
        "time       about 1 min 31 s, 1 at once here; an epoch takes 2.00 s for "
        in (text)
    )
    assert "2.00 s for plain-20, 4.40 s for plain-44, 8.80 s for residual-44" in text
