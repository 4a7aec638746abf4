"""Judges the claims of every ledger anew, from its cells, by the rules of this code.

Usage: `make results`, or `python ablations/judged_anew.py`. Of a `report.md` it
replaces the verdicts on top and the tables of claims; what the run itself said stays.
"""

import csv
import json
import re
from pathlib import Path
from typing import Any

from orthotune.ablation.claims_text import claim_table, verdict_text
from orthotune.ablation.retuning_text import retuned_claim_table
from orthotune.design.ablation import Ablation
from orthotune.design.ablation_file import read_ablation
from orthotune.record.identity import trial_key
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.verdicts.findings import Findings, find
from orthotune.verdicts.retuning_results import retuning

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DATA = dict.fromkeys(("digits", "fashion_mnist"), "that of the ledger")
JUDGED = (
    "Judged anew from the cells beside this file by `python ablations/judged_anew.py`, "
    "when claims could first end as equivalent."
)


def findings(folder: Path) -> Findings:
    """What the cells of a ledger say today.

    Args:
        folder: The ledger's; `ablations/` has the file of its name.
    """
    ablation = read_ablation(str(HERE / f"{folder.name}.yaml"))
    records = _cells(ablation, folder / "cells.csv", [])
    if ablation.retune is not None:
        records = _tuning(ablation, folder / "tuning_trials.csv", records)
        found = retuning(ablation, records, DATA)
        if found is not None and found.ablation is not None:
            records = _cells(found.ablation, folder / "retuned_cells.csv", records)
    return find(ablation, records, DATA)


def _cells(
    ablation: Ablation, path: Path, before: list[TrialRecord]
) -> list[TrialRecord]:
    """The trials of a table of cells, after others."""
    fields = {(arm.name, seed): cell for arm, seed, cell in ablation.cells()}
    rows = _rows(path, fields, "seed")
    return _with(before, rows, ablation.metric)


def _tuning(
    ablation: Ablation, path: Path, before: list[TrialRecord]
) -> list[TrialRecord]:
    """The trials that tuned the arms, after others."""
    fields = {(arm.name, number): own for arm, number, own in ablation.tuning()}
    rows = _rows(path, fields, "draw")
    for own, row in rows:
        values = json.loads(row["values"])
        if any(own[name] != value for name, value in values.items()):
            raise ValueError(f"{path} must hold the draws of the file, but has {row}.")
    return _with(before, rows, ablation.metric)


def _rows(
    path: Path, fields: dict[tuple[str, int], dict[str, Any]], column: str
) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """The rows of a table with the fields of each, by its arm and a column's number."""
    with path.open() as file:
        return [
            (fields[row["arm"], int(row[column])], row) for row in csv.DictReader(file)
        ]


def _with(
    before: list[TrialRecord],
    rows: list[tuple[dict[str, object], dict[str, str]]],
    metric: str,
) -> list[TrialRecord]:
    found = {record.key: record for record in before}
    for fields, row in rows:
        key, epochs = trial_key(fields, DATA), int(row["epochs"])
        diverged = row.get("diverged") == "1"
        found.setdefault(
            key,
            TrialRecord(
                number=len(found),
                key=key,
                fields=fields,
                history={epochs: {metric: float(row[metric])}},
                status=Status.DIVERGED if diverged else Status.FINISHED,
            ),
        )
    return list(found.values())


def judged(report: str, found: Findings) -> str:
    """A report with the verdicts that its cells have today.

    Args:
        report: A `report.md`.
        found: What its cells say.
    """
    title, _, rest = report.partition("\n\n")
    _, heading, rest = rest.partition("## Claims\n\n")
    old, arms, rest = rest.partition("\n\n## Arms")
    how = re.search(r"^A claim is judged at.*$", old, re.MULTILINE)
    if not heading or not arms or how is None:
        raise ValueError(f"{title} must have claims and arms, as reports do.")
    claims = "\n\n".join([claim_table(found), how[0], JUDGED])
    if found.again is not None:
        before, section, after = rest.partition("\n## After re-tuning\n")
        start = after.index("| claim ")
        end = after.index("\n\n", start)
        again = retuned_claim_table(found, found.again)
        rest = f"{before}{section}{after[:start]}{again}{after[end:]}"
    return f"{title}\n\n{verdict_text(found)}\n\n{heading}{claims}{arms}{rest}"


if __name__ == "__main__":
    for path in sorted(RESULTS.glob("*/report.md")):
        path.write_text(judged(path.read_text(), findings(path.parent)))
