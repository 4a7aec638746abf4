import itertools
import math
import random

import pytest
import torch

from orthotune.config.schedules import Schedule
from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError

KINDS = ("constant", "linear", "cosine", "multistep", "window")


@pytest.mark.parametrize(
    ("fields", "points"),
    [
        ({"kind": "constant"}, {0: 1, 0.3: 1, 1: 1}),
        ({"kind": "linear"}, {0: 1, 0.25: 0.75, 1: 0}),
        ({"kind": "linear", "final": 0.2}, {0: 1, 0.5: 0.6, 1: 0.2}),
        ({"kind": "linear", "final": 1}, {0: 1, 0.5: 1, 1: 1}),
        ({"kind": "linear", "warmup": 0.2}, {0.1: 0.5, 0.2: 1, 0.6: 0.5, 1: 0}),
        ({"kind": "cosine"}, {0: 1, 1 / 3: 0.75, 0.5: 0.5, 2 / 3: 0.25, 1: 0}),
        ({"kind": "cosine", "final": 0.5}, {0: 1, 0.5: 0.75, 1: 0.5}),
        ({"kind": "cosine", "warmup": 0.5}, {0.25: 0.5, 0.5: 1, 0.75: 0.5, 1: 0}),
        (
            {"kind": "multistep"},
            {0: 1, 0.4999: 1, 0.5: 0.1, 0.7499: 0.1, 0.75: 0.01, 1: 0.01},
        ),
        (
            {"kind": "multistep", "milestones": [0.1, 0.2, 0.9], "gamma": 0.5},
            {0.05: 1, 0.1: 0.5, 0.5: 0.25, 0.95: 0.125},
        ),
        ({"kind": "multistep", "milestones": []}, {0: 1, 1: 1}),
        ({"kind": "multistep", "gamma": 1}, {0: 1, 1: 1}),
        ({"kind": "window"}, {0: 1, 0.5: 1, 0.999: 1}),
        (
            {"kind": "window", "start": 0.25, "stop": 0.75},
            {0.2499: 0, 0.25: 1, 0.7499: 1, 0.75: 0, 1: 0},
        ),
    ],
)
def test_the_curve_at_points_known_by_hand(fields, points):
    schedule = Schedule(**fields)
    for progress, expected in points.items():
        assert schedule.factor(progress) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine", "multistep"])
def test_a_warmup_rises_linearly_from_zero(kind):
    schedule = Schedule(kind=kind, warmup=0.4)
    for progress, expected in ((0, 0), (0.1, 0.25), (0.2, 0.5), (0.3, 0.75), (0.4, 1)):
        assert schedule.factor(progress) == pytest.approx(expected)


def test_a_warmup_of_a_multistep_multiplies_its_milestones():
    schedule = Schedule(kind="multistep", warmup=0.5, milestones=[0.25], gamma=0.1)
    assert schedule.factor(0.125) == pytest.approx(0.25)
    assert schedule.factor(0.375) == pytest.approx(0.075)
    assert schedule.factor(0.9) == pytest.approx(0.1)


def test_a_window_warms_up_from_its_start():
    schedule = Schedule(kind="window", warmup=0.2, start=0.4, stop=0.8)
    for progress, expected in (
        (0.0, 0),
        (0.2, 0),
        (0.4, 0),
        (0.5, 0.5),
        (0.6, 1),
        (0.7, 1),
        (0.8, 0),
        (1.0, 0),
    ):
        assert schedule.factor(progress) == pytest.approx(expected)


def test_a_window_shorter_than_its_warmup_never_reaches_one():
    schedule = Schedule(kind="window", warmup=0.5, start=0.2, stop=0.3)
    assert max(schedule.factor(k / 1000) for k in range(1001)) == pytest.approx(
        0.2, abs=0.01
    )


@pytest.mark.parametrize(
    ("fields", "scheduler"),
    [
        (
            {"kind": "cosine", "final": 0.1},
            lambda sgd: torch.optim.lr_scheduler.CosineAnnealingLR(sgd, 20, 0.1),
        ),
        (
            {"kind": "linear", "final": 0.1},
            lambda sgd: torch.optim.lr_scheduler.LinearLR(sgd, 1, 0.1, 20),
        ),
        (
            {"kind": "multistep", "milestones": [0.25, 0.6], "gamma": 0.3},
            lambda sgd: torch.optim.lr_scheduler.MultiStepLR(sgd, [5, 12], 0.3),
        ),
    ],
)
def test_a_curve_is_that_of_the_scheduler_of_torch(fields, scheduler):
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = scheduler(sgd)
    for step in range(21):
        expected = sgd.param_groups[0]["lr"]
        assert Schedule(**fields).factor(step / 20) == pytest.approx(expected)
        sgd.step()
        theirs.step()


@pytest.mark.parametrize("kind", KINDS)
def test_the_factor_is_always_between_zero_and_one(kind):
    draw = random.Random(kind)
    for _ in range(200):
        start, stop = sorted(draw.sample(range(101), 2))
        schedule = Schedule(
            kind=kind,
            warmup=draw.choice([0, draw.uniform(0, 0.999)]),
            final=draw.uniform(0, 1),
            milestones=sorted(draw.sample([0.1, 0.2, 0.3, 0.6, 0.9], 3)),
            gamma=draw.uniform(1e-9, 1),
            start=start / 100,
            stop=stop / 100,
        )
        for progress in (0.0, 1.0, *(draw.uniform(0, 1) for _ in range(20))):
            assert 0 <= schedule.factor(progress) <= 1, (schedule, progress)


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.1, 0.9])
def test_a_smooth_curve_does_not_jump_where_warmup_ends(kind, warmup):
    schedule = Schedule(kind=kind, warmup=warmup, final=0.3)
    step = 1e-4
    slope = (1 / warmup if warmup else 0) + math.pi / 2 / (1 - warmup)
    values = [schedule.factor(k * step) for k in range(10_001)]
    jumps = [abs(b - a) for a, b in itertools.pairwise(values)]
    assert max(jumps) <= slope * step * (1 + 1e-6)
    assert schedule.factor(warmup) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["linear", "cosine", "multistep"])
def test_a_decaying_curve_never_rises_after_warmup(kind):
    schedule = Schedule(kind=kind, warmup=0.1)
    values = [schedule.factor(0.1 + 0.9 * k / 500) for k in range(501)]
    assert values == sorted(values, reverse=True)


READ = {
    "constant": {"warmup"},
    "linear": {"warmup", "final"},
    "cosine": {"warmup", "final"},
    "multistep": {"warmup", "milestones", "gamma"},
    "window": {"warmup", "start", "stop"},
}
OTHER = {
    "warmup": 0.35,
    "final": 0.6,
    "milestones": [0.2, 0.3],
    "gamma": 0.7,
    "start": 0.4,
    "stop": 0.8,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", OTHER)
def test_a_curve_reads_exactly_the_fields_it_says(kind, field):
    grid = [k / 200 for k in range(201)]
    default = Schedule(kind=kind, warmup=0.1)
    changed = Schedule(**{"kind": kind, "warmup": 0.1, field: OTHER[field]})
    same = [default.factor(t) for t in grid] == [changed.factor(t) for t in grid]
    assert same == (field not in READ[kind])
    read = TrialConfig.from_dict({"optimizer.schedule.kind": kind}).in_effect()
    assert (f"optimizer.schedule.{field}" in read) == (field in READ[kind])
    assert "optimizer.schedule.kind" in read


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kind": "step"}, "`kind` must be one of constant, linear, cosine, multistep"),
        ({"warmup": 1}, "`warmup` must be a number in [0, 1), but got 1."),
        ({"warmup": -0.1}, "`warmup` must be a number in [0, 1), but got -0.1."),
        ({"final": 1.5}, "`final` must be a number in [0, 1], but got 1.5."),
        ({"gamma": 0}, "`gamma` must be a number in (0, 1], but got 0."),
        ({"milestones": 0.5}, "`milestones` must be a list of numbers in (0, 1), but"),
        ({"milestones": [0, 0.5]}, "`milestones` must be a list of numbers in (0, 1)"),
        (
            {"milestones": [0.75, 0.5]},
            "`milestones` must increase, but got [0.75, 0.5]. Sort them.",
        ),
        (
            {"milestones": [0.5, 0.5]},
            "`milestones` must increase, but got [0.5, 0.5].",
        ),
        (
            {"kind": "window", "start": 0.5, "stop": 0.5},
            "`stop` must be greater than `start` = 0.5, but got 0.5. "
            "Such a window never opens.",
        ),
        (
            {"kind": "window", "start": 0.6, "stop": 0.2},
            "`stop` must be greater than `start` = 0.6, but got 0.2.",
        ),
        ({"start": 2}, "`start` must be a number in [0, 1], but got 2."),
    ],
)
def test_a_field_that_makes_no_curve_is_refused(fields, sentence):
    with pytest.raises(ConfigError) as caught:
        Schedule(**fields)
    assert str(caught.value).startswith(sentence)


def test_start_and_stop_bind_windows_only():
    assert Schedule(kind="linear", start=0.9, stop=0.1).factor(0.5) == 0.5
