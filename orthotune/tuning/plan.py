"""What a study would run, in words; nothing is started but one timed epoch."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from orthotune.training.checkpoint import dump_checkpoint
from orthotune.training.config import TrialConfig
from orthotune.training.data import load_dataset
from orthotune.training.loop import Trial
from orthotune.training.progress import duration
from orthotune.tuning.event_log import read_events
from orthotune.tuning.opening import record_to_read
from orthotune.tuning.packing import GpuShares, planned_shares
from orthotune.tuning.rungs import rungs
from orthotune.tuning.settings import (
    COPIES_KEPT,
    VALIDATED_SCHEDULES,
    Resources,
    SearchSettings,
    Study,
)

SAMPLES = 200
TIMED_BATCHES = 10


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


def plan_text(study: Study, num_cpus: int, storage: str) -> str:
    """The plan of a study.

    Args:
        study: The study.
        num_cpus: CPU cores trials can use, for the estimate of the time.
        storage: Where it keeps its files.
    """
    search = study.settings.search
    shares = planned_shares(study, storage, num_cpus)
    timed = _timed_epoch(study)
    num_trials = int(min(search.num_trials, study.space.size))
    slots = at_once(study, num_cpus, shares)
    num_done = _num_done(study.settings.name, storage)
    num_runs = study.num_runs
    num_left = max(0, num_runs - num_done)
    epochs = num_left * expected_epochs(search)
    total_s = epochs * timed.seconds / max(1, min(slots, num_left))
    if search.time_budget_s is not None:
        total_s = min(total_s, search.time_budget_s)
    lines = [
        f"study      {study.settings.name} ({study.path})",
        f"minimizes  {study.settings.metric}",
        f"trials     {num_trials} by {search.searcher}, seed {search.seed}, "
        f"{search.max_epochs} epochs each at most",
        *([f"done       {num_done} of {num_runs} to run"] if num_done else []),
        *_rung_lines(search, num_trials),
        f"resources  {study.settings.resources.cpus} CPU, "
        f"{_gpus(study)} GPU a trial; {slots} at once here",
        *gpu_lines(shares),
        f"time       about {duration(total_s)}: one epoch at depth {timed.depth:g} "
        f"takes {timed.seconds:.2f} s here",
        f"disk       at most {_megabytes(study, timed, slots):.1f} MB of "
        f"checkpoints: of {_alive(search, slots)} trials and the "
        f"{search.keep_checkpoints} best",
        "space",
        *_space_lines(study),
        "fixed",
        *(f"  {name} = {value}" for name, value in study.space.fixed.items()),
    ]
    return "\n".join(lines)


def _num_done(name: str, storage: str) -> int:
    """Trials of a study that have ended and will not run again."""
    ended = set()
    with record_to_read(name, storage) as record:
        for _, event in read_events(record):
            match event:
                case {"event": "ended", "number": number}:
                    ended.add(number)
                case {"event": "reopened", "number": number}:
                    ended.discard(number)
    return len(ended)


def _rung_lines(search: SearchSettings, num_trials: int) -> list[str]:
    if search.is_population:
        return [
            f"population compared every {search.perturbation_epochs} epochs; the worst "
            "quarter then copies the best (pbt)",
            f"validation {search.num_validations} trials at most: the best "
            f"{VALIDATED_SCHEDULES} schedules from scratch, "
            f"{search.validation_seeds} seeds each",
        ]
    if not rungs(search):
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


def _gpus(study: Study) -> str:
    gpus = study.settings.resources.gpus
    return gpus if isinstance(gpus, str) else f"{gpus:g}"


def gpu_lines(shares: GpuShares | None) -> list[str]:
    """How trials will share GPUs, as far as that was or must be measured."""
    if shares is None:
        return [
            "           (measured on a GPU when it starts; without one, on the CPU)"
        ]
    return [f"           {line}" for line in shares.lines()]


def at_once(study: Study, num_cpus: int, shares: GpuShares | None) -> int:
    """Trials this machine can hold at once; one where it can hold none, as a guess.

    Args:
        study: The study.
        num_cpus: CPU cores trials can use.
        shares: What they get of GPUs, if that is known.
    """
    limits = [num_cpus // study.settings.resources.cpus]
    if study.settings.search.max_concurrent is not None:
        limits.append(study.settings.search.max_concurrent)
    if shares is not None and shares.smallest:
        limits.append(int(torch.cuda.device_count() / shares.smallest))
    return max(1, min(limits))


def _alive(search: SearchSettings, slots: int) -> str:
    if search.is_population:
        return f"the {search.num_trials}"
    return f"{slots} running"


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """What one epoch at the mean depth of the space costs.

    Args:
        depth: That depth.
        seconds: Time of the epoch.
        checkpoint_bytes: Size of a checkpoint there.
    """

    depth: int
    seconds: float
    checkpoint_bytes: int


def _megabytes(study: Study, timed: _Timed, slots: int) -> float:
    """The worst case of all checkpoints together, at the largest depth."""
    depths = [p.extremes() for p in study.space.parameters if p.name == "model.depth"]
    largest = max(depths[0]) if depths else timed.depth
    # While a checkpoint is replaced, both are there; weights grow with the depth.
    kept = 2 * slots + study.settings.search.keep_checkpoints
    if study.settings.search.is_population:
        # Every member is alive to the end, and Ray keeps copies for the others.
        kept += (1 + COPIES_KEPT) * study.settings.search.num_trials
    return kept * timed.checkpoint_bytes * largest / timed.depth / 1e6


def _timed_epoch(study: Study) -> _Timed:
    """One epoch, timed: a few batches, and the rest is proportional."""
    rng = random.Random(0)
    drawn = [study.trial_fields(study.space.draw(rng)) for _ in range(SAMPLES)]
    configs = [TrialConfig.from_dict(fields) for fields in drawn]
    mean = sum(config.model.depth for config in configs) / SAMPLES
    gaps = [abs(config.model.depth - mean) for config in configs]
    nearest = gaps.index(min(gaps))
    seconds, size = timed_epoch(drawn[nearest], study.settings.resources)
    scale = mean / configs[nearest].model.depth
    return _Timed(
        depth=round(mean),
        seconds=seconds * scale,
        checkpoint_bytes=round(size * scale),
    )


def timed_epoch(fields: Mapping[str, Any], resources: Resources) -> tuple[float, int]:
    """Seconds of an epoch, from a few of its batches, and bytes of a checkpoint.

    Args:
        fields: The configuration.
        resources: What a trial occupies.
    """
    timed = TrialConfig.from_dict(fields)
    whole = len(load_dataset(timed.data).train)
    few = min(whole, TIMED_BATCHES * timed.data.batch_size)
    config = TrialConfig.from_dict({**fields, "data.num_train": few})
    use_gpu = resources.gpus != 0 and torch.cuda.is_available()
    device = "cuda" if use_gpu else "cpu"
    batch = TrialConfig.from_dict({**fields, "data.num_train": timed.data.batch_size})
    Trial(batch, device).run_epoch()  # pays for what is done once a process
    trial = Trial(config, device)
    metrics = trial.run_epoch()
    seconds = metrics["epoch_time_s"] + (whole - few) / metrics["images_per_s"]
    return seconds, len(dump_checkpoint(trial.state_dict()))
