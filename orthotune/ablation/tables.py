"""The trials of an ablation as CSV tables."""

import csv
import io
import json
from collections.abc import Iterable, Sequence

from orthotune.verdicts.findings import Findings


def tables(findings: Findings) -> dict[str, str]:
    """The tables as CSV, by name of the file.

    `cells.csv` has every cell with a result; where arms are tuned anew,
    `tuning_trials.csv` has what was tried and `retuned_cells.csv` the cells of the arms
    so tuned.

    Args:
        findings: What they hold.
    """
    found = {"cells.csv": cells_csv(findings)}
    if findings.retuning is not None:
        found["tuning_trials.csv"] = _tuning_csv(findings)
    if findings.again is not None:
        found["retuned_cells.csv"] = cells_csv(findings.again)
    return found


def cells_csv(findings: Findings) -> str:
    """Every cell that has a result, a line each."""
    metric = findings.ablation.metric
    header = ["arm", "seed", metric, "diverged", "epochs", "trial", "key"]
    rows = (
        [
            name,
            item.seed,
            repr(item.value),
            int(item.diverged),
            item.record.epoch,
            item.record.number,
            item.record.key,
        ]
        for name, replicates in findings.arms.items()
        for item in replicates
    )
    return _csv(header, rows)


def _tuning_csv(findings: Findings) -> str:
    """Every trial that tuned an arm, a line each; the draw as JSON."""
    metric, retuning = findings.ablation.metric, findings.retuning
    header = ["arm", "draw", "values", metric, "epochs", "trial", "key"]
    rows = (
        [
            name,
            tried.draw,
            json.dumps(dict(tried.values)),
            "" if tried.value is None else repr(tried.value),
            tried.record.epoch,
            tried.record.number,
            tried.record.key,
        ]
        for name, trials in (retuning.arms.items() if retuning is not None else ())
        for tried in trials
    )
    return _csv(header, rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
