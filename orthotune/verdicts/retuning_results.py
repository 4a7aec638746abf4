"""What tuning has found for every arm of an ablation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orthotune.config.trial import TrialConfig
from orthotune.design.ablation import Ablation
from orthotune.record.identity import Fingerprints, trial_key
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.text import cell
from orthotune.verdicts.replicates import result_of


@dataclass(frozen=True, kw_only=True)
class TuningTrial:
    """A trial that tuned an arm.

    Args:
        draw: Number of the draw; 0 is the shared setting.
        values: What the draw changed of the arm.
        value: The metric at its end, the worst there is if it diverged; None for a
            trial that did not fit into memory.
        record: Its trial.
    """

    draw: int
    values: Mapping[str, Any]
    value: float | None
    record: TrialRecord

    @property
    def words(self) -> str:
        """What the draw changed of what the arm reads, in words."""
        if not self.draw:
            return "the shared setting"
        read = TrialConfig.from_dict(self.record.fields).in_effect()
        changed = [
            f"{name} = {cell(value)}"
            for name, value in self.values.items()
            if name in read
        ]
        return ", ".join(changed) or "nothing that applies"


@dataclass(frozen=True, kw_only=True)
class RetuningResults:
    """The trials that tuned the arms.

    Args:
        shared: The ablation.
        arms: The trials of every arm that have ended, by name, in their order.
        num_open: Trials without an end: those that failed are run again.
    """

    shared: Ablation
    arms: Mapping[str, Sequence[TuningTrial]]
    num_open: int

    def best(self, arm: str) -> TuningTrial | None:
        """What is chosen for an arm: of equals the first, so the shared setting."""

        def worth(tried: TuningTrial) -> float:
            return math.inf if tried.value is None else tried.value

        return min(self.arms[arm], key=worth, default=None)

    @property
    def ablation(self) -> Ablation | None:
        """The ablation of the arms so tuned; None until all trials have ended.

        What an arm may still find would change what is asked again.
        """
        best = {name: self.best(name) for name in self.arms}
        if self.num_open:
            return None
        return self.shared.retuned(
            {name: tried.values for name, tried in best.items() if tried}
        )


def retuning(
    ablation: Ablation, records: Sequence[TrialRecord], fingerprints: Fingerprints
) -> RetuningResults | None:
    """What tuning has found; None for an ablation whose arms are not tuned anew.

    Args:
        ablation: The ablation.
        records: The trials of its study.
        fingerprints: Of the data sets it names.
    """
    if ablation.retune is None:
        return None
    by_key = {record.key: record for record in records}
    draws, num_open = ablation.retune.draws(), 0
    arms: dict[str, list[TuningTrial]] = {arm.name: [] for arm in ablation.arms}
    for arm, number, fields in ablation.tuning():
        record = by_key.get(trial_key(fields, fingerprints))
        if record is None or not record.status.ended or record.status == Status.FAILED:
            num_open += 1
            continue
        arms[arm.name].append(
            TuningTrial(
                draw=number,
                values=ablation.retune.applied(draws[number], arm.fields),
                value=result_of(record, ablation.metric),
                record=record,
            )
        )
    return RetuningResults(shared=ablation, arms=arms, num_open=num_open)


def retuned_parts(found: Sequence[RetuningResults | None]) -> list[Ablation]:
    """The ablation of the arms so tuned on every block; none until all have ended.

    Args:
        found: What tuning has found on every block.
    """
    parts = [one.ablation for one in found if one is not None]
    return [part for part in parts if part is not None] if None not in parts else []
