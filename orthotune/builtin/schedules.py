"""The curves over training that come with orthotune (see `Schedule` for formulas)."""

import math

from orthotune.config.schedules import Schedule
from orthotune.schema.decorators import schedule


def _after_warmup(settings: Schedule, progress: float) -> float:
    return max(0.0, (progress - settings.warmup) / (1 - settings.warmup))


@schedule("constant")
def constant(_settings: Schedule, _progress: float) -> float:
    """1 throughout."""
    return 1.0


@schedule("linear", reads=("final",))
def linear(settings: Schedule, progress: float) -> float:
    """A straight line from 1 to `final`."""
    return 1 - (1 - settings.final) * _after_warmup(settings, progress)


@schedule("cosine", reads=("final",))
def cosine(settings: Schedule, progress: float) -> float:
    """Half a cosine from 1 to `final`."""
    wave = math.cos(math.pi * _after_warmup(settings, progress))
    return settings.final + (1 - settings.final) * (1 + wave) / 2


@schedule("multistep", reads=("milestones", "gamma"))
def multistep(settings: Schedule, progress: float) -> float:
    """1, multiplied by `gamma` at each of the `milestones`."""
    passed = sum(progress >= milestone for milestone in settings.milestones)
    return settings.gamma**passed


@schedule("window", reads=("start", "stop"))
def window(settings: Schedule, progress: float) -> float:
    """1 from `start` to `stop`, and 0 around it."""
    return float(settings.start <= progress < settings.stop)
