"""How many trials share a GPU.

Ray keeps the books of GPUs, but knows nothing of what trials take. With `auto` as
`resources.gpus` one trial of each shape runs for some seconds on each kind of GPU there
is. Its share is then one in so many as fit into the memory, and as keep the GPU busy:
what computes for half of the time leaves room for one more. Where trials are fewer than
that, each gets more, so that fewer GPUs idle. What was measured is kept in the storage,
by kind of GPU and shape, for every later study.
"""

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

from orthotune.cluster.footprint_cache import FootprintCache, Footprints
from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError, GpuBusyError, StudyError
from orthotune.record.study_definition import Study
from orthotune.space.parameters import CategoricalParameter, Parameter
from orthotune.space.settings import AUTO, Resources
from orthotune.storage.redaction import last_line
from orthotune.training.footprint import SHAPE_FIELDS, Footprint, measure, shape_of
from orthotune.training.gpu import gpu_names

MARGIN = 0.1
"""The part of a GPU's memory that is left free: peaks differ a little."""

MOST_A_GPU = 32
"""Trials on one GPU: beyond, their processes take more than they give."""

MOST_SHAPES = 12
"""Shapes that are measured one by one; of more, the largest stands for others."""

GRAIN = 10_000  # Ray counts a resource in parts of this size


def trials_a_gpu(footprint: Footprint) -> int:
    """Trials of a shape that share a GPU; 1 also where one alone does not fit.

    Example:
        >>> sizes = {"tensor_bytes": 3, "context_bytes": 1, "total_bytes": 80}
        >>> [trials_a_gpu(Footprint(**sizes, busy=busy)) for busy in (0.9, 0.3, 0.01)]
        [1, 3, 18]
    """
    one = max(1, footprint.tensor_bytes + footprint.context_bytes)
    fit = int((1 - MARGIN) * footprint.total_bytes / one)
    fill = round(1 / max(footprint.busy, 1 / MOST_A_GPU))
    return max(1, min(fit, fill))


def share_of(num_trials: int) -> float:
    """The fraction of a GPU with which Ray puts so many trials on one.

    Example:
        >>> share_of(3), share_of(1)
        (0.3333, 1.0)
    """
    return math.floor(GRAIN / num_trials) / GRAIN


@dataclass(frozen=True, kw_only=True)
class GpuShares:
    """The share of a GPU that each trial of a study gets.

    Args:
        default: The GPUs of a trial whose shape was not measured.
        measured: The footprints, by kind of GPU and shape; empty if `default` is what
            the user said.
        largest: The values that stand for all others of their field, by name.
        least: What a measured trial gets at least, as more would leave GPUs idle.

    Example:
        >>> gb = 10**9
        >>> small = Footprint(
        ...     tensor_bytes=gb, context_bytes=gb, total_bytes=80 * gb, busy=0.25
        ... )
        >>> shape = shape_of(TrialConfig())
        >>> shares = GpuShares(default=1.0, measured={"H100": {shape: small}})
        >>> shares.of({}), shares.of({"model.depth": 110}), shares.tensor_bytes({})
        (0.25, 1.0, 1000000000)
    """

    default: float
    measured: Footprints = field(default_factory=dict)
    largest: Mapping[str, Any] = field(default_factory=dict)
    least: float = 0.0

    def of(self, fields: Mapping[str, Any]) -> float:
        """The share of a trial with which it fits on every kind of GPU there is."""
        found = self._footprints(fields)
        if not found:
            return self.default
        return max(map(self._share, found))

    def tensor_bytes(self, fields: Mapping[str, Any]) -> int | None:
        """The memory a trial's tensors take at their peak; None if not measured."""
        found = self._footprints(fields)
        return max((one.tensor_bytes for one in found), default=0) or None

    @property
    def smallest(self) -> float:
        """The least that any trial gets."""
        found = [
            self._share(one)
            for by_shape in self.measured.values()
            for one in by_shape.values()
        ]
        return min([self.default, *found])

    def lines(self) -> list[str]:
        """What was measured, and what follows, a line a shape."""
        return [
            f"{shape} on {kind}: {self._share(one):g} GPU a trial ({_described(one)})"
            for kind, by_shape in self.measured.items()
            for shape, one in by_shape.items()
        ]

    def completed(self, found: Iterable[tuple[str, str, Footprint]]) -> "GpuShares":
        """These, with what else was measured: kind, shape and footprint."""
        measured = {kind: dict(by_shape) for kind, by_shape in self.measured.items()}
        for kind, shape, footprint in found:
            measured.setdefault(kind, {})[shape] = footprint
        return replace(self, measured=measured)

    def _share(self, footprint: Footprint) -> float:
        return max(self.least, share_of(trials_a_gpu(footprint)))

    def _footprints(self, fields: Mapping[str, Any]) -> list[Footprint]:
        if not self.measured:
            return []
        known = {name: val for name, val in self.largest.items() if name in fields}
        shape = shape_of(TrialConfig.from_dict({**fields, **known}))
        return [one[shape] for one in self.measured.values() if shape in one]


def _described(footprint: Footprint) -> str:
    total = f"{footprint.total_bytes / 1e9:.1f} GB"
    if not footprint.tensor_bytes:
        return f"more than its {total} as one batch"
    taken = footprint.tensor_bytes + footprint.context_bytes
    return f"{taken / 1e9:.2f} of {total}, {footprint.busy:.0%} busy"


def as_said(resources: Resources) -> GpuShares:
    """The shares of a study whose file says how many GPUs a trial gets."""
    return GpuShares(default=float(resources.gpus))


def least_share(study: Study, num_gpus: float, num_slots: int) -> float:
    """The share with which a study's trials spread over the GPUs, if they are few.

    Ray fills one GPU before it takes the next: eight trials of a quarter each would
    leave six of eight GPUs idle.

    Args:
        study: The study.
        num_gpus: The GPUs there are, at least one.
        num_slots: Trials for which there are CPU cores.
    """
    search = study.settings.search
    num_trials = study.num_searched
    together = min(num_trials, search.max_concurrent or num_trials, num_slots)
    return share_of(max(1, math.ceil(together / num_gpus)))


def largest_values(study: Study) -> dict[str, Any]:
    """The values that stand for all others, where a space has too many shapes."""
    numbers = [
        parameter
        for parameter in _shaping(study)
        if not isinstance(parameter, CategoricalParameter)
    ]
    if math.prod(parameter.size for parameter in _shaping(study)) <= MOST_SHAPES:
        return {}
    # A batch in few parts takes more than one in many.
    end = {"data.num_micro_batches": min}
    return {p.name: end.get(p.name, max)(p.extremes()) for p in numbers}


def shapes(study: Study) -> dict[str, TrialConfig]:
    """A configuration of every shape that the trials of a study can have."""
    found: dict[str, TrialConfig] = {}
    for fields in _fields(study):
        with contextlib.suppress(ConfigError):  # values that never meet
            config = TrialConfig.from_dict(fields)
            found.setdefault(shape_of(config), config)
    return found


def _fields(study: Study) -> Iterator[dict[str, Any]]:
    if study.listed:
        yield from (dict(one.fields) for one in study.listed)
        return
    shaping, largest = _shaping(study), largest_values(study)
    values = [[largest[p.name]] if p.name in largest else _values(p) for p in shaping]
    for combination in itertools.product(*values):
        fields: dict[str, Any] = {}
        for parameter, value in zip(shaping, combination, strict=True):
            fields |= parameter.assigned(value)
        yield study.trial_fields(fields)


def _shaping(study: Study) -> list[Parameter]:
    parameters = study.space.parameters
    return [p for p in parameters if any(name in SHAPE_FIELDS for name in p.fields)]


def _values(parameter: Parameter) -> list[Any]:
    if isinstance(parameter, CategoricalParameter):
        return list(parameter.choices)
    low, high = parameter.extremes()
    return list(range(low, high + 1, int(parameter.step or 1)))


def cached_shares(
    study: Study, kinds: Sequence[str], cache: FootprintCache
) -> tuple[GpuShares, list[tuple[str, TrialConfig]]]:
    """The shares, as far as they are known, and what is still to be measured.

    Args:
        study: A study with `resources.gpus: auto`.
        kinds: The kinds of GPU it runs on.
        cache: What was measured before.

    Returns:
        The shares, and the kinds and configurations that are missing.
    """
    wanted, known = shapes(study), cache.read()
    measured = {
        kind: {
            shape: known[kind][shape]
            for shape in wanted
            if shape in known.get(kind, {})
        }
        for kind in kinds
    }
    missing = [
        (kind, config)
        for kind in kinds
        for shape, config in wanted.items()
        if shape not in measured[kind]
    ]
    shares = GpuShares(default=1.0, measured=measured, largest=largest_values(study))
    return shares, missing


def is_auto(study: Study) -> bool:
    """Whether a study leaves it to us how many trials share a GPU."""
    return study.settings.resources.gpus == AUTO


def not_measured(err: Exception) -> StudyError:
    """The sentence for what has gone wrong when a shape was measured."""
    cause = getattr(err, "cause", err)  # of Ray's own errors, which wrap it
    if isinstance(cause, GpuBusyError):
        return StudyError(str(cause))
    return StudyError(
        "`resources.gpus: auto` must find out what a trial takes of a GPU, but: "
        f"{last_line(err)}. Set `resources.gpus` to a number, or try again."
    )


def slots_of(resources: Mapping[str, float], cpus: int, gpus: float) -> int:
    """How many trials a machine holds at once.

    Args:
        resources: What it has, `CPU` and `GPU`.
        cpus: CPU cores of a trial.
        gpus: GPUs of one.

    Example:
        >>> has = {"CPU": 8, "GPU": 2}
        >>> [slots_of(has, 1, gpus) for gpus in (0, 0.4, 2, 4)]
        [8, 4, 1, 0]
    """
    most = int(resources.get("CPU", 0) // cpus)
    if gpus:
        # Ray does not put one trial on parts of two GPUs.
        per_gpu = int(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus
        most = min(most, int(resources.get("GPU", 0) * per_gpu))
    return most


def planned_shares(
    study: Study, storage: str, num_cpus: int, *, measuring: bool = True
) -> GpuShares | None:
    """The shares for a plan: as said, as kept, or measured on this machine's GPU.

    None if nobody knows yet. Nothing is written.

    Args:
        study: The study.
        storage: Where it keeps its files.
        num_cpus: CPU cores that trials can use here.
        measuring: Whether what is missing may be measured, which takes the data.

    Raises:
        StudyError: If that GPU cannot be used.
    """
    if not is_auto(study):
        return as_said(study.settings.resources)
    cache, wanted = FootprintCache(storage), shapes(study).keys()
    here = gpu_names(all_there_are=False)  # as the process that measures
    kept = [kind for kind, known in cache.read().items() if wanted <= known.keys()]
    shares, missing = cached_shares(study, here[:1] or kept, cache)
    if here:
        slots = num_cpus // study.settings.resources.cpus
        shares = replace(shares, least=least_share(study, len(here), slots))
    if not missing or not measuring:
        return shares if shares.measured and not missing else None
    with ProcessPoolExecutor(
        max_workers=1, max_tasks_per_child=1, mp_context=get_context("spawn")
    ) as apart:
        found = [
            (kind, shape_of(config), apart.submit(measure, config.to_dict(), 0.0))
            for kind, config in missing
        ]
        try:
            return shares.completed((k, shape, run.result()) for k, shape, run in found)
        except GpuBusyError:  # it is measured when the study starts
            return None
        except Exception as err:  # also of a process that is killed
            raise not_measured(err) from err
        finally:
            apart.shutdown(cancel_futures=True)
