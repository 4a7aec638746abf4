"""What the trials with each choice came to: whether an ingredient seems to matter."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from orthotune.record.study_definition import Study
from orthotune.record.trial_record import WITHOUT_VALUE, TrialRecord
from orthotune.report.in_effect import in_effect
from orthotune.space.parameters import CategoricalParameter
from orthotune.text import Rows, cell


def choice_rows(
    study: Study,
    records: Sequence[TrialRecord],
    compared: Sequence[TrialRecord],
    epoch: int | None,
) -> Rows:
    """A table of the categorical parameters, a row for each of their choices.

    Args:
        study: The study.
        records: Its trials.
        compared: Those of equal budget, best first.
        epoch: At which medians are taken; None for no medians.

    Returns:
        The rows; only a header where nothing is categorical, or nothing has a result.
    """
    metric = study.settings.metric
    middle = [] if epoch is None else [f"median at epoch {epoch}"]
    header = ["parameter", "choice", "trials", *middle, "to the end", f"best {metric}"]
    rows: list[Sequence[str]] = [header]
    if not compared:
        return rows
    shown = [r for r in records if r.history and r.status not in WITHOUT_VALUE]
    parameters = [
        parameter
        for parameter in study.space.parameters
        if isinstance(parameter, CategoricalParameter)
    ]
    all_by_choice = _by_choice(parameters, shown)
    ends_by_choice = _by_choice(parameters, compared)
    for parameter in parameters:
        for choice in parameter.choices:
            own = all_by_choice[parameter.name, repr(choice)]
            ends = ends_by_choice[parameter.name, repr(choice)]
            row = [parameter.name, cell(choice), str(len(own))]
            if epoch is not None:
                row.append(_median(own, metric, epoch))
            best = "-"
            if ends:
                best = f"{ends[0].last(metric):.4f} (trial {ends[0].number})"
            rows.append([*row, str(len(ends)), best])
    return rows


def _by_choice(
    parameters: Sequence[CategoricalParameter], records: Sequence[TrialRecord]
) -> Mapping[tuple[str, str], list[TrialRecord]]:
    """The trials that read a choice, in their order, by parameter and choice."""
    found: dict[tuple[str, str], list[TrialRecord]] = defaultdict(list)
    for record in records:
        for name, value in in_effect(parameters, record).items():
            found[name, repr(value)].append(record)
    return found


def _median(records: Sequence[TrialRecord], metric: str, epoch: int) -> str:
    values = [r.history[epoch][metric] for r in records if epoch in r.history]
    return f"{statistics.median(values):.4f}" if values else "-"
