"""Every file in search_spaces/ is one a user can run."""

from pathlib import Path

import pytest

from orthotune.config.trial import TrialConfig
from orthotune.space.rungs import rungs
from orthotune.study.plan import expected_epochs
from orthotune.study.study_file import read_study

FOLDER = Path(__file__).parents[1] / "search_spaces"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_the_files_the_readme_names_are_there():
    assert {path.stem for path in FILES} >= {
        "modulation",
        "penalty",
        "depth",
        "population",
        "plain110",
        "cifar10_modulation",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_valid_says_what_it_asks_and_bears_its_name(path):
    study = read_study(str(path))
    assert study.settings.name == path.stem
    assert path.read_text().startswith("# ")
    for corner in study.space.corners(64):
        TrialConfig.from_dict(study.trial_fields(corner))
    assert expected_epochs(study.settings.search) <= study.settings.search.max_epochs
    assert all(
        rung < study.settings.search.max_epochs for rung in rungs(study.settings.search)
    )


def test_the_depth_file_covers_20_to_110():
    study = read_study(str(FOLDER / "depth.yaml"))
    depth = next(p for p in study.space.parameters if p.name == "model.depth")
    assert depth.extremes() == [20, 110]


def test_the_cifar_file_is_the_papers_schedule():
    study = read_study(str(FOLDER / "cifar10_modulation.yaml"))
    config = TrialConfig.from_dict(study.trial_fields(next(study.space.corners(1))))
    updates = 45_000 // config.data.batch_size * config.training.num_epochs
    assert abs(updates - 64_000) < 400
    assert config.training.precision == "bf16"
    assert config.optimizer.schedule.milestones == (0.5, 0.75)
    assert study.settings.resources.gpus == 1
