"""How many trials share a GPU, by footprints that are made up."""

import json

import pytest

from orthotune.cluster import gpu_sharing as packing
from orthotune.cluster.footprint_cache import CACHE, FootprintCache
from orthotune.cluster.gpu_sharing import (
    GpuShares,
    largest_values,
    least_share,
    planned_shares,
    shapes,
    share_of,
    trials_a_gpu,
)
from orthotune.config.trial import TrialConfig
from orthotune.errors import GpuBusyError, StudyError
from orthotune.study.plan import plan_text
from orthotune.study.study_file import read_study
from orthotune.training.footprint import shape_of
from tests.cluster.footprints import footprint

AUTO = {"resources.gpus": "auto"}


@pytest.mark.parametrize(
    ("gigabytes", "busy", "trials"),
    [
        (1.0, 0.25, 4),  # by its time
        (1.0, 0.0, 32),  # never more than so many
        (17.0, 0.05, 4),  # by memory: 4 x 17.5 of 72
        (17.6, 0.05, 3),  # 4 would go beyond nine tenths
        (79.9, 0.05, 1),  # alone without a margin
        (0.0, 1.0, 1),  # what has not even run as one batch
    ],
)
def test_so_many_share_a_gpu_as_fit_and_fill_it(gigabytes, busy, trials):
    assert trials_a_gpu(footprint(gigabytes, busy)) == trials


@pytest.mark.parametrize("trials", range(1, 33))
def test_ray_puts_so_many_and_no_more_on_a_gpu(trials):
    parts = round(share_of(trials) * 10_000)  # the grain Ray counts in
    assert parts == pytest.approx(share_of(trials) * 10_000)
    assert trials == 10_000 // parts


def test_the_shapes_of_a_search_are_those_its_trials_can_have(tiny_file):
    study = read_study(str(tiny_file), AUTO)
    assert len(shapes(study)) == 6  # three penalties, two widths
    for widths in ("4-4-4", "4-8-8"):
        for kind in ("orthonormal", "l2", "none"):
            (one,) = [s for s in shapes(study) if widths in s and f", {kind}," in s]
            assert shape_of(shapes(study)[one]) == one
    assert largest_values(study) == {}


WIDE = """\
fixed: {data.name: synthetic}
space:
  data.batch_size: {type: int, low: 16, high: 256, log: true}
  data.num_micro_batches: {type: int, low: 1, high: 4}
  model.family: {type: categorical, choices: [plain, residual]}
  modulation.enabled: {type: categorical, choices: [true, false]}
"""


def test_of_too_many_shapes_the_largest_stands_for_the_others(tmp_path):
    (tmp_path / "wide.yaml").write_text(WIDE)
    fixed = {**AUTO, "modulation.enabled": False}
    study = read_study(str(tmp_path / "wide.yaml"), fixed)
    assert largest_values(study) == {
        "data.batch_size": 256,
        "data.num_micro_batches": 1,
    }
    assert len(shapes(study)) == 2
    small = {"modulation.enabled": False, "data.batch_size": 16}
    found = {shape: footprint() for shape in shapes(study)}
    shares = GpuShares(
        default=1.0, measured={"H100": found}, largest=largest_values(study)
    )
    assert shares.of({**small, "data.name": "synthetic"}) == 0.25


def test_a_share_holds_on_every_kind_of_gpu():
    shape, deep = (
        shape_of(TrialConfig.from_dict({"model.depth": n})) for n in (44, 56)
    )
    shares = GpuShares(
        default=1.0,
        measured={
            "H100": {shape: footprint(4), deep: footprint(9, busy=0.5)},
            "L4": {shape: footprint(4, total=24, busy=0.4)},
        },
    )
    assert shares.of({}) == share_of(2)
    assert shares.of({"model.depth": 56}) == 0.5
    assert shares.of({"model.depth": 110}) == 1.0  # not measured
    assert shares.tensor_bytes({}) == 4_000_000_000
    assert shares.tensor_bytes({"model.depth": 110}) is None
    assert shares.smallest == 0.25
    assert shares.lines()[0] == (
        f"{shape} on H100: 0.25 GPU a trial (4.50 of 80.0 GB, 25% busy)"
    )


# Plans


def test_a_plan_without_a_gpu_says_that_it_is_measured_later(tiny_file, tmp_path):
    study = read_study(str(tiny_file), AUTO)
    assert planned_shares(study, str(tmp_path), 8) is None
    text = plan_text(study, num_cpus=2, storage=str(tmp_path))
    assert "1 CPU, auto GPU a trial; 2 at once here" in text
    assert "measured on a GPU when it starts" in text


def test_a_plan_shows_what_an_earlier_study_has_measured(tiny_file, tmp_path):
    study = read_study(str(tiny_file), AUTO)
    known = {shape: footprint() for shape in shapes(study)}
    cache = FootprintCache(str(tmp_path))
    cache.add({"H100": known, "L4": {"another": footprint()}})
    before = json.loads((tmp_path / CACHE).read_text())
    text = plan_text(study, num_cpus=2, storage=str(tmp_path))
    assert text.count("on H100: 0.25 GPU a trial (1.50 of 80.0 GB, 25% busy)") == 6
    assert "L4" not in text
    assert json.loads((tmp_path / CACHE).read_text()) == before


def test_a_plan_measures_what_is_missing_on_the_gpu_of_this_machine(
    tiny_file, tmp_path, monkeypatch
):
    study = read_study(str(tiny_file), AUTO)
    known = dict.fromkeys(list(shapes(study))[:4], footprint())
    FootprintCache(str(tmp_path)).add({"H100": known})
    monkeypatch.setattr(packing, "gpu_names", lambda all_there_are: ["H100", "H100"])
    monkeypatch.setattr(packing, "measure", half_busy)
    shares = planned_shares(study, str(tmp_path), 8)
    assert sorted(one.busy for one in shares.measured["H100"].values()) == [
        *([0.25] * 4),
        *([0.5] * 2),
    ]


def test_a_plan_on_a_gpu_that_cannot_be_used_is_one_sentence(
    tiny_file, tmp_path, monkeypatch
):
    study = read_study(str(tiny_file), AUTO)
    known = dict.fromkeys(list(shapes(study))[1:], footprint())
    FootprintCache(str(tmp_path)).add({"H100": known})
    monkeypatch.setattr(packing, "gpu_names", lambda all_there_are: ["H100"])
    monkeypatch.setattr(packing, "measure", unusable)
    with pytest.raises(StudyError, match=r"what a trial takes .* No CUDA GPUs\. Set"):
        planned_shares(study, str(tmp_path), 8)
    monkeypatch.setattr(packing, "measure", taken)
    assert planned_shares(study, str(tmp_path), 8) is None  # when the study starts


@pytest.mark.parametrize(
    ("trials", "at_once", "gpus", "slots", "share"),
    [
        (20, None, 8, 99, 0.3333),
        (8, None, 8, 99, 1.0),
        (20, 4, 8, 99, 1.0),
        (20, None, 8, 4, 1.0),
        (20, None, 1, 99, 0.05),
    ],
)
def test_few_trials_are_spread_over_the_gpus(
    tiny_file, trials, at_once, gpus, slots, share
):
    settings = {"search.num_trials": trials, "search.max_concurrent": at_once}
    study = read_study(str(tiny_file), {**AUTO, **settings})
    assert least_share(study, gpus, slots) == share
    shares = GpuShares(
        default=1.0,
        measured={"H100": {shape: footprint() for shape in shapes(study)}},
        least=share,
    )
    assert shares.smallest == max(share, 0.25)  # as many as fit
    assert f"{shares.smallest:g} GPU a trial" in shares.lines()[0]
    fields = next(iter(shapes(study).values())).to_dict()
    assert shares.of(fields) == shares.smallest


def unusable(_fields, _wait_s):
    raise RuntimeError("No CUDA GPUs")


def taken(_fields, _wait_s):
    raise GpuBusyError("A GPU must be free.")


def half_busy(_fields, _wait_s):
    """Of this module, as another process imports it."""
    return footprint(busy=0.5)


def test_the_shapes_of_a_joint_choice_are_its_rows(tmp_path):
    (tmp_path / "joint.yaml").write_text(
        "fixed: {data.name: synthetic}\n"
        "space:\n  size:\n    type: joint\n    choices:\n"
        "      - {model.depth: 8, data.batch_size: 64}\n"
        "      - {model.depth: 14, data.batch_size: 32}\n"
    )
    study = read_study(str(tmp_path / "joint.yaml"), AUTO)
    configs = shapes(study).values()
    found = {(config.model.depth, config.data.batch_size) for config in configs}
    assert found == {(8, 64), (14, 32)}
