"""What an ablation would run, in words; nothing is started but timed epochs.

As of a search, nothing is made or changed.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthotune.config.metrics import reportable
from orthotune.config.trial import TrialConfig
from orthotune.design.ablation import Ablation
from orthotune.design.arm_differences import arm_lines
from orthotune.design.overview import overview
from orthotune.record.earlier import Earlier
from orthotune.record.event_log import read_events
from orthotune.record.identity import Fingerprints, fingerprints_in, trial_key
from orthotune.record.trial_record import Status
from orthotune.statistics.power import detectable_effect
from orthotune.study.plan import Place, timed_epoch
from orthotune.study.record_opening import record_to_read
from orthotune.text import duration
from orthotune.verdicts.interim_analysis import Values, difference, level_of

UNKNOWN = "unknown"
"""In place of a fingerprint that nobody has."""

Others = Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, Earlier]]
"""The results that other studies have for some trials, by key."""


def plan_text(
    ablation: Ablation,
    fingerprints: Fingerprints,
    storage: str,
    num_cpus: int,
    others: Others = lambda _wanted: {},
    missing: Sequence[str] = (),
) -> str:
    """The plan of an ablation.

    Args:
        ablation: The ablation.
        fingerprints: Of the data sets it names and that are at hand.
        storage: Where its study is, or would be.
        num_cpus: CPU cores cells can use, for the estimate of the time.
        others: What would not be run because other studies have.
        missing: What is to be said of data that are not at hand.
    """
    study = ablation.study()
    with record_to_read(ablation.name, storage) as record:
        results = _results(record, ablation.metric)
        fingerprints = {**_unknown(ablation), **_recorded(record), **fingerprints}
    cells: dict[str, Mapping[str, Any]] = {}
    for _, _, fields in ablation.cells():
        cells.setdefault(trial_key(fields, fingerprints), fields)
    num_done = len(cells.keys() & results.keys())
    tuning = {trial_key(f, fingerprints): f for _, _, f in ablation.tuning()}
    listed = tuning | cells
    known = UNKNOWN not in fingerprints.values()
    open_keys = listed.keys() - results.keys() if known else ()
    taken = others({key: listed[key] for key in open_keys})
    results |= {key: _value(one, ablation.metric) for key, one in taken.items()}
    left = [fields for key, fields in cells.items() if key not in results]
    place = Place.of(study, num_cpus, storage, missing)
    retuning = _Tuning.of(tuning, cells, results)
    num_listed = len(ablation.all_arms) * len(ablation.seeds)
    lines = [
        *overview(ablation),
        *_same_lines(num_listed - len(cells)),
        f"done       {num_done} of them",
        *([f"taken      {len(taken)} from other studies of MLflow"] if taken else []),
        *(["taken      not known: the data are missing"] if not known else []),
        *retuning.lines(ablation),
        *(f"data       missing: {sentence}" for sentence in missing),
        _time_line(ablation, place, [*left, *retuning.left]),
        *place.gpu_lines(),
        *_detectable_lines(
            ablation,
            [(part, _values(part, results, fingerprints)) for part in ablation.parts],
        ),
        "arms",
        *(f"  {line}" for line in arm_lines(ablation)),
        "claims",
        *(f"  {claim}" for claim in ablation.claims),
    ]
    return "\n".join(lines)


def _unknown(ablation: Ablation) -> Fingerprints:
    """Placeholders for the fingerprints of the data sets that it names."""
    fields = [fields for _, _, fields in (*ablation.cells(), *ablation.tuning())]
    names = {TrialConfig.from_dict(one).data.name for one in fields}
    return dict.fromkeys(names, UNKNOWN)


def _recorded(record: Path) -> Fingerprints:
    """The fingerprints of the data that a study has begun with, if it has."""
    header = next((event for _, event in read_events(record)), {})
    return fingerprints_in(header.get("definition", {}))


def _time_line(
    ablation: Ablation, place: Place, to_run: list[Mapping[str, Any]]
) -> str:
    if place.unknown:
        return f"time       not known: {place.unknown}"
    networks, epoch_s = _timed(ablation, to_run)
    total_s = epoch_s * ablation.num_epochs / max(1, min(place.slots, len(to_run)))
    return f"time       about {duration(total_s)}, {place.at_once}{networks}"


@dataclass(frozen=True, kw_only=True)
class _Tuning:
    """The trials that tune the arms, and the cells that follow them.

    Args:
        num_trials: Trials that tune.
        num_done: Those that have a result.
        num_again: Cells of the re-tuned arms that have a result.
        left: The fields of what is left; of the re-tuned arms about, those at the
            shared setting.
    """

    num_trials: int
    num_done: int
    num_again: int
    left: Sequence[Mapping[str, Any]]

    @classmethod
    def of(
        cls,
        trials: Mapping[str, Mapping[str, Any]],
        cells: Mapping[str, Mapping[str, Any]],
        results: Mapping[str, float],
    ) -> "_Tuning":
        left = [fields for key, fields in trials.items() if key not in results]
        # What else a record holds are cells of arms as they were tuned.
        num_again = len(results.keys() - cells.keys() - trials.keys())
        again = list(cells.values())[num_again:] if trials else []
        return cls(
            num_trials=len(trials),
            num_done=len(trials) - len(left),
            num_again=num_again,
            left=[*left, *again],
        )

    def lines(self, ablation: Ablation) -> list[str]:
        """The lines of the plan; none for arms that are not tuned anew."""
        if ablation.retune is None:
            return []
        each = " of each block" if ablation.blocks else ""
        return [
            f"re-tuned   {self.num_trials} trials ({ablation.retune.num_trials} an "
            f"arm{each}), {self.num_done} of them done; then as many cells as above at "
            "most, "
            f"{self.num_again} of them done"
        ]


def _same_lines(num_same: int) -> list[str]:
    if not num_same:
        return []
    return [f"same       {num_same} are another arm's under a second name: run once"]


def _results(path: Path, metric: str) -> dict[str, float]:
    """The metric of every trial in a record that has a result, by its key."""
    keys: dict[int, str] = {}
    last: dict[int, float] = {}
    results: dict[str, float] = {}
    for _, event in read_events(path):
        match event:
            case {"event": "suggested", "number": number}:
                keys[number] = event["key"]
            case {"event": "epoch", "number": number}:
                last[number] = event["metrics"][metric]
            case {"event": "ended", "number": number, "status": Status.FINISHED}:
                results[keys[number]] = last[number]
            case {"event": "ended", "number": number, "status": Status.DIVERGED}:
                results[keys[number]] = reportable(metric, math.nan, diverged=True)
            case {"event": "reopened", "number": number}:
                results.pop(keys[number], None)
    return results


def _value(earlier: Earlier, metric: str) -> float:
    diverged = earlier.status == Status.DIVERGED
    value = math.nan if diverged else earlier.history[max(earlier.history)][metric]
    return reportable(metric, value, diverged=diverged)


def _values(
    ablation: Ablation, results: Mapping[str, float], fingerprints: Fingerprints
) -> Values:
    """What the cells have given so far."""
    values: dict[str, dict[int, float]] = {arm.name: {} for arm in ablation.arms}
    for arm, seed, fields in ablation.cells():
        key = trial_key(fields, fingerprints)
        if key in results:
            values[arm.name][seed] = results[key]
    return values


def _timed(ablation: Ablation, left: list[Mapping[str, Any]]) -> tuple[str, float]:
    """A phrase on the epoch of each network, and seconds of one epoch of every cell.

    The shallowest network of a family is timed: at 32x32 one epoch of the deepest takes
    minutes on a CPU, and time is in proportion to depth (measured: 8 % off at most).
    """
    networks: dict[tuple[str, str, int], list[Mapping[str, Any]]] = {}
    for fields in left:
        config = TrialConfig.from_dict(fields)
        # Only blocks have data sets of different sizes.
        data = config.data.name if ablation.blocks else ""
        key = (data, config.model.family, config.model.depth)
        networks.setdefault(key, []).append(fields)
    by_layer: dict[tuple[str, str], float] = {}
    phrases, total_s = [], 0.0
    for (data, family, depth), cells in sorted(networks.items()):
        if (data, family) not in by_layer:  # sorted: its shallowest
            epoch_s, _ = timed_epoch(cells[0], ablation.resources)
            by_layer[data, family] = epoch_s / depth
        epoch_s = by_layer[data, family] * depth
        on = f" on {data}" if data else ""
        phrases.append(f"{epoch_s:.2f} s for {family}-{depth}{on}")
        total_s += epoch_s * len(cells)
    return (f"; an epoch takes {', '.join(phrases)}" if phrases else ""), total_s


def _detectable_lines(
    ablation: Ablation, parts: Sequence[tuple[Ablation, Values]]
) -> list[str]:
    """The smallest effects that the design can detect.

    Before a run it is known in standard deviations only; after two pairs of a claim's
    arms, with the spread they have, in the unit of the metric.
    """
    level, num = level_of(ablation), len(ablation.seeds)
    effect = detectable_effect(1.0, num, alpha=level)
    if effect is None:
        return ["detects    nothing: one seed has no spread to test against"]
    lines = [
        f"detects    a difference of {effect:.1f} standard deviations of the paired "
        "differences (80 % power, before Holm's correction)"
    ]
    family = len(ablation.claims) * len(parts)
    for (part, values), claim in itertools.product(parts, ablation.claims):
        seen = difference(part, claim, values, ablation.seeds, family)
        if seen is not None and seen.sd:
            block = part.reference.block
            lines.append(
                f"           {seen.sd * effect:.3g} of {ablation.metric}, by the "
                f"spread of {seen.n} pairs so far: {f'{block}: ' if block else ''}"
                f"{claim}"
            )
    return lines
