"""What a study would run, in words; nothing is started but one timed epoch."""

import math
import random

import torch

from orthotune.training.config import TrialConfig
from orthotune.training.data import load_dataset
from orthotune.training.loop import Trial
from orthotune.training.progress import duration
from orthotune.tuning.settings import SearchSettings, Study

SAMPLES = 200
TIMED_BATCHES = 10


def rungs(search: SearchSettings) -> list[int]:
    """The epochs at which asha compares trials and stops the worse ones.

    Example:
        >>> rungs(SearchSettings(max_epochs=10, grace_epochs=1, reduction_factor=3))
        [1, 3, 9]
    """
    if search.scheduler != "asha":
        return []
    levels, epochs = [], search.grace_epochs
    while epochs < search.max_epochs:
        levels.append(epochs)
        epochs *= search.reduction_factor
    return levels


def expected_epochs(search: SearchSettings) -> float:
    """Expected epochs of one trial if one in `reduction_factor` passes each rung.

    Asynchronous halving lets more pass at first, before it has seen enough.

    Example:
        >>> expected_epochs(SearchSettings(max_epochs=4, reduction_factor=2))
        2.0
    """
    total, survivors, before = 0.0, 1.0, 0
    for level in [*rungs(search), search.max_epochs]:
        total += survivors * (level - before)
        survivors /= search.reduction_factor
        before = level
    return total


def plan_text(study: Study, num_cpus: int) -> str:
    """The plan of a study.

    Args:
        study: The study.
        num_cpus: CPU cores trials can use, for the estimate of the time.
    """
    search = study.settings.search
    epoch_s, depth = _timed_epoch(study)
    num_trials = int(min(search.num_trials, study.space.size))
    at_once = _at_once(study, num_cpus)
    total_s = num_trials * expected_epochs(search) * epoch_s / min(at_once, num_trials)
    if search.time_budget_s is not None:
        total_s = min(total_s, search.time_budget_s)
    lines = [
        f"study      {study.settings.name} ({study.path})",
        f"minimizes  {study.settings.metric}",
        f"trials     {num_trials} by {search.searcher}, seed {search.seed}, "
        f"{search.max_epochs} epochs each at most",
        *_rung_lines(search, num_trials),
        f"resources  {study.settings.resources.cpus} CPU, "
        f"{study.settings.resources.gpus:g} GPU a trial; {at_once} at once here",
        f"time       about {duration(total_s)}: one epoch at depth {depth:g} takes "
        f"{epoch_s:.2f} s here",
        "space",
        *_space_lines(study),
        "fixed",
        *(f"  {name} = {value}" for name, value in study.space.fixed.items()),
    ]
    return "\n".join(lines)


def _rung_lines(search: SearchSettings, num_trials: int) -> list[str]:
    if search.scheduler != "asha":
        return ["rungs      none: every trial runs its full budget"]
    alive = [
        f"{num_trials / search.reduction_factor**passed:.0f} go on after {epochs}"
        for passed, epochs in enumerate(rungs(search), 1)
    ]
    return [f"rungs      about {', '.join(alive)} epochs (asha; more at first)"]


def _space_lines(study: Study) -> list[str]:
    lines = []
    for parameter in study.space.parameters:
        when = " and ".join(f"{name} = {val}" for name, val in parameter.when.items())
        condition = f", when {when}" if when else ""
        lines.append(f"  {parameter.name}: {parameter.describe()}{condition}")
    size = study.space.size
    if math.isfinite(size):
        lines.append(f"  {size:.0f} configurations at most")
    return lines


def _at_once(study: Study, num_cpus: int) -> int:
    """Trials this machine can hold at once; one where it can hold none, as a guess."""
    resources = study.settings.resources
    limits = [num_cpus // resources.cpus]
    if resources.gpus:
        limits.append(int(torch.cuda.device_count() / resources.gpus))
    return max(1, min(limits))


def _timed_epoch(study: Study) -> tuple[float, float]:
    """Seconds of one epoch at the mean depth of the space, and that depth.

    A few batches are timed and the rest is proportional.
    """
    rng = random.Random(0)
    drawn = [study.trial_fields(study.space.draw(rng)) for _ in range(SAMPLES)]
    configs = [TrialConfig.from_dict(fields) for fields in drawn]
    mean = sum(config.model.depth for config in configs) / SAMPLES
    gaps = [abs(config.model.depth - mean) for config in configs]
    nearest = gaps.index(min(gaps))
    timed = configs[nearest]
    whole = len(load_dataset(timed.data).train)
    few = min(whole, TIMED_BATCHES * timed.data.batch_size)
    config = TrialConfig.from_dict({**drawn[nearest], "data.num_train": few})
    use_gpu = study.settings.resources.gpus > 0 and torch.cuda.is_available()
    device = "cuda" if use_gpu else "cpu"
    Trial(config, device).run_epoch()  # pays for what is done once a process
    metrics = Trial(config, device).run_epoch()
    seconds = metrics["epoch_time_s"] + (whole - few) / metrics["images_per_s"]
    return seconds * mean / timed.model.depth, round(mean)
