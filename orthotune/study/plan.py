"""What a study would run, in words; nothing is started but one timed epoch.

And nothing is made or changed, on any disk. What cannot be known here, without the data
or on a machine that cannot hold a trial, is said to be so.
"""

import math
import os
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from orthotune.cluster.gpu_sharing import GpuShares, is_auto, planned_shares, slots_of
from orthotune.config.trial import TrialConfig
from orthotune.data.datasets import load_dataset
from orthotune.record.event_log import read_events
from orthotune.record.study_definition import Study
from orthotune.space.conditions import condition_text
from orthotune.space.parameters import field_extremes
from orthotune.space.rungs import expected_epochs
from orthotune.space.settings import COPIES_KEPT, Resources, SearchSettings
from orthotune.storage.scratch import scratch_folder
from orthotune.study.constraints_file import MAX_COUNTED
from orthotune.study.overview import overview
from orthotune.study.record_opening import record_to_read
from orthotune.text import counted, duration
from orthotune.training.checkpoint import dump_checkpoint
from orthotune.training.loop import Trial

SAMPLES = 200
TIMED_BATCHES = 10


@contextmanager
def without_caches() -> Iterator[None]:
    """Let what is compiled to time an epoch be kept in a folder that goes away."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(
        dir=scratch_folder(), ignore_cleanup_errors=True
    ) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name)
            os.environ.update({} if before is None else {name: before})


def plan_text(
    study: Study, num_cpus: int, storage: str, missing: Sequence[str] = ()
) -> str:
    """The plan of a study.

    Args:
        study: The study.
        num_cpus: CPU cores trials can use, for the estimate of the time.
        storage: Where it keeps its files.
        missing: What is to be said of data that are not at hand.
    """
    place = Place.of(study, num_cpus, storage, missing)
    num_searched, num_confirmed = _num_done(study.settings.name, storage)
    num_done, num_runs = num_searched + num_confirmed, study.num_runs
    left = (
        0 if study.searched else max(0, study.num_searched - num_searched),
        max(0, study.settings.search.num_confirmations - num_confirmed),
    )
    lines = [
        *overview(study),
        *([f"done       {num_done} of {num_runs} to run"] if num_done else []),
        *(f"start      {line}" for line in study.start_lines),
        *(f"data       missing: {sentence}" for sentence in missing),
        f"resources  {study.settings.resources.cpus} CPU, "
        f"{_gpus(study)} GPU a trial; {place.at_once}",
        *place.gpu_lines(),
        *_cost_lines(study, place, *left),
        "space",
        *_space_lines(study),
        "fixed",
        *(f"  {name} = {value}" for name, value in study.space.fixed.items()),
    ]
    return "\n".join(lines)


def _cost_lines(
    study: Study, place: "Place", num_trials: int, num_confirmations: int
) -> list[str]:
    """What is left costs; each run that confirms has its whole budget."""
    if place.unknown:
        return [f"{name:10} not known: {place.unknown}" for name in ("time", "disk")]
    search, slots, timed = study.settings.search, place.slots, _timed_epoch(study)
    searched, each = num_trials * expected_epochs(search), min(slots, num_trials)
    confirmed = num_confirmations * search.max_epochs
    at_once = max(1, min(slots, search.confirm.top))  # the runs of one seed
    epochs = searched / max(1, each) + confirmed / at_once
    total_s = epochs * timed.seconds
    if search.time_budget_s is not None:
        total_s = min(total_s, search.time_budget_s)
    return [
        f"time       about {duration(total_s)}: one epoch at depth {timed.depth:g} "
        f"takes {timed.seconds:.2f} s here",
        f"disk       at most {_megabytes(study, timed, slots):.1f} MB of "
        f"checkpoints: of {_alive(search, slots)} trials and the "
        f"{search.num_kept} best",
    ]


def _num_done(name: str, storage: str) -> tuple[int, int]:
    """Trials that have ended and will not run again: searched, and confirming."""
    ended, confirming = set(), set()
    with record_to_read(name, storage) as record:
        for _, event in read_events(record):
            match event:
                case {"event": "suggested", "number": number, "validates": _}:
                    confirming.add(number)
                case {"event": "ended", "number": number}:
                    ended.add(number)
                case {"event": "reopened", "number": number}:
                    ended.discard(number)
    return len(ended - confirming), len(ended & confirming)


def _space_lines(study: Study) -> list[str]:
    lines = []
    for parameter in study.space.parameters:
        when = condition_text(parameter.when)
        condition = f", when {when}" if when else ""
        lines.append(f"  {parameter.name}: {parameter.describe()}{condition}")
    lines += [f"  always {one.text}" for one in study.space.constraints]
    return lines + _number_lines(study)


def _number_lines(study: Study) -> list[str]:
    """How many configurations there are, if they can be counted."""
    size = study.space.size
    if study.settings.search.searcher == "grid":
        count = counted(study.settings.search.num_trials, "combination")
        return [f"  {count}, and every one is run"]
    if not math.isfinite(size):
        return []
    if study.space.constraints:
        left = study.space.combinations(MAX_COUNTED)
        if left is not None:
            return [f"  {counted(len(left), 'configuration')} at most meet that"]
    return [f"  {size:.0f} configurations at most"]


def _gpus(study: Study) -> str:
    gpus = study.settings.resources.gpus
    return gpus if isinstance(gpus, str) else f"{gpus:g}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What this machine can do for a study.

    Args:
        slots: Trials that it holds at once.
        at_once: The same in words.
        shares: What trials get of GPUs; None if nobody knows yet.
        unknown: Why time and disk cannot be known here; nothing if they can.
    """

    slots: int
    at_once: str
    shares: GpuShares | None
    unknown: str

    @classmethod
    def of(
        cls, study: Study, num_cpus: int, storage: str, missing: Sequence[str]
    ) -> "Place":
        """As `plan_text`.

        Raises:
            StudyError: If there is a GPU and it cannot be used.
        """
        shares = planned_shares(study, storage, num_cpus, measuring=not missing)
        has = {"CPU": num_cpus, "GPU": torch.cuda.device_count()}
        gpus = 0.0 if shares is None else shares.smallest
        if is_auto(study) and not has["GPU"]:
            gpus = 0.0  # it would train on the CPU
        cpus = study.settings.resources.cpus
        slots = slots_of(has, cpus, gpus)
        there = f"{counted(num_cpus, 'CPU core')} and {counted(has['GPU'], 'GPU')}"
        unknown = ["the data are missing"] if missing else []
        if not slots:
            unknown += [f"no trial of {cpus} CPU and {gpus:g} GPU fits into {there}"]
        slots = min(slots, study.settings.search.max_concurrent or slots)
        return cls(
            slots=slots,
            at_once=f"{slots} at once here" if slots else f"none fits into {there}",
            shares=shares,
            unknown=", and ".join(unknown),
        )

    def gpu_lines(self) -> list[str]:
        """How trials will share GPUs, as far as that was or must be measured."""
        if self.shares is None:
            return [
                "           (measured on a GPU when it starts; without one, on the CPU)"
            ]
        return [f"           {line}" for line in self.shares.lines()]


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
    depths = [
        field_extremes(parameter)["model.depth"]
        for parameter in study.space.parameters
        if "model.depth" in parameter.fields
    ]
    largest = max(depths[0]) if depths else timed.depth
    # While a checkpoint is replaced, both are there; weights grow with the depth.
    kept = 2 * slots + study.settings.search.num_kept
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
    next(trial.dataset.val.in_order(1))  # starts processes that read images, if any
    metrics = trial.run_epoch()
    seconds = metrics["epoch_time_s"] + (whole - few) / metrics["images_per_s"]
    return seconds, len(dump_checkpoint(trial.state_dict()))
