import pytest
import torch

from orthotune.space.rungs import expected_epochs, rungs
from orthotune.space.settings import SearchSettings
from orthotune.study import plan
from orthotune.study.plan import plan_text
from orthotune.study.study_file import read_study


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


@pytest.mark.parametrize(
    ("gpus_here", "resources", "at_once"),
    [
        (0, {"cpus": 1, "gpus": 0}, "8 at once here"),
        (0, {"cpus": 3, "gpus": 0}, "2 at once here"),
        (0, {"cpus": 9, "gpus": 0}, "none fits into 8 CPU cores and 0 GPUs"),
        (0, {"cpus": 1, "gpus": 0.1}, "none fits into 8 CPU cores and 0 GPUs"),
        (1, {"cpus": 1, "gpus": 2}, "none fits into 8 CPU cores and 1 GPU"),
        (2, {"cpus": 1, "gpus": 2}, "1 at once here"),
        (2, {"cpus": 1, "gpus": 0.4}, "4 at once here"),  # not one on two halves
        (0, {"cpus": 1, "gpus": "auto"}, "8 at once here"),  # on the CPU
    ],
)
def test_a_plan_says_how_many_trials_this_machine_holds(
    gpus_here, resources, at_once, tiny_file, tmp_path, monkeypatch
):
    settings = {f"resources.{name}": value for name, value in resources.items()}
    study = read_study(str(tiny_file), settings)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus_here)
    text = plan_text(study, num_cpus=8, storage=str(tmp_path))
    assert f" GPU a trial; {at_once}\n" in text
    shown = f"{resources['cpus']} CPU and {resources['gpus']} GPU"
    why = f"no trial of {shown} fits into {at_once.partition(' into ')[2]}"
    for name in ("time", "disk"):
        assert (f"{name}       not known: {why}\n" in text) == ("none" in at_once)


def test_a_plan_without_the_data_trains_nothing(tiny_study, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "timed_epoch", pytest.fail)
    text = plan_text(tiny_study, 2, str(tmp_path), ["a is not there.", "nor is b."])
    assert (
        "\ndata       missing: a is not there.\ndata       missing: nor is b.\n" in text
    )
    for name in ("time", "disk"):
        assert f"\n{name}       not known: the data are missing\n" in text


SPACE = """\
search: {searcher: SEARCHER, max_epochs: 2}
fixed: {data.name: synthetic, data.num_train: 128}
space:
  size:
    type: joint
    choices:
      - {model.depth: 8, data.batch_size: 64}
      - {model.depth: 14, data.batch_size: 32}
  regularizer.kind: {type: categorical, choices: [none, l2, orthonormal]}
  init.batch_norm_bias:
    type: categorical
    choices: [0.1, 0.5]
    when: {model.depth: {low: 9}, regularizer.kind: [l2, orthonormal]}
constraints: [data.batch_size * init.batch_norm_bias <= 10]
"""


@pytest.mark.parametrize(
    ("searcher", "number", "trials"),
    [
        ("random", "6 configurations at most meet that", "12 by random, seed 0"),
        ("grid", "6 combinations, and every one is run", "6 by grid, which is every"),
    ],
)
def test_a_plan_says_conditions_joint_choices_and_constraints_in_words(
    searcher, number, trials, tmp_path
):
    path = tmp_path / "study.yaml"
    path.write_text(SPACE.replace("SEARCHER", searcher))
    text = plan_text(read_study(str(path)), 2, str(tmp_path), ["no data."])
    for words in (
        "size: model.depth and data.batch_size together, one of (8, 64), (14, 32)",
        "init.batch_norm_bias: one of 0.1, 0.5, when model.depth >= 9 and "
        "regularizer.kind = l2 or orthonormal",
        "  always data.batch_size * init.batch_norm_bias <= 10",
        f"  {number}\n",
        trials,
    ):
        assert words in text
