import pytest

from orthotune.tuning.plan import expected_epochs, plan_text
from orthotune.tuning.rungs import rungs
from orthotune.tuning.settings import SearchSettings
from orthotune.tuning.study_file import read_study


def test_rungs_are_those_of_rays_asha():
    # The milestones Ray's scheduler builds for the same settings.
    from ray.tune.schedulers import AsyncHyperBandScheduler

    for budget, grace, factor in [(10, 1, 3), (81, 1, 3), (100, 20, 3), (16, 4, 2)]:
        scheduler = AsyncHyperBandScheduler(
            time_attr="epoch",
            metric="x",
            mode="min",
            max_t=budget,
            grace_period=grace,
            reduction_factor=factor,
        )
        theirs = sorted(int(level) for level, _ in scheduler._brackets[0]._rungs)
        search = SearchSettings(
            max_epochs=budget, grace_epochs=grace, reduction_factor=factor
        )
        assert rungs(search) == [level for level in theirs if level < budget]


def test_expected_epochs_by_hand():
    # 2 epochs for all, 4 more for a third, 3 more for a ninth
    search = SearchSettings(max_epochs=9, grace_epochs=2, reduction_factor=3)
    assert expected_epochs(search) == pytest.approx(2 + 4 / 3 + 3 / 9)
    assert expected_epochs(SearchSettings(max_epochs=7, scheduler="none")) == 7


def test_the_plan_names_what_would_run(tiny_study):
    text = plan_text(tiny_study, num_cpus=2, storage="none")
    for words in (
        "study      tiny",
        "trials     4 by tpe, seed 1, 3 epochs each at most",
        "about 1 go on after 1 epochs",
        "1 CPU, 0 GPU a trial; 2 at once here",
        "optimizer.lr: number in [0.001, 0.1], logarithmic",
        "regularizer.coeff: number in [0.0001, 1], logarithmic, "
        "when regularizer.kind = orthonormal",
        "model.depth = 8",
    ):
        assert words in text
    assert "time       about" in text


def test_the_plan_of_a_finite_space_says_how_many_there_are(tiny_file):
    overrides = {"optimizer.lr": 0.1, "regularizer.kind": "none"}
    study = read_study(str(tiny_file), overrides)
    text = plan_text(study, num_cpus=1, storage="none")
    assert "2 configurations at most" in text
    assert "trials     2 by tpe" in text
