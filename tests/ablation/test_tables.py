import csv

from tests.ablation.small import FIVE, OFF
from tests.ablation.written import VALUES, write


def test_cells_are_written_as_they_were_measured(tmp_path):
    report = write(tmp_path, VALUES, FIVE)
    path = next(path for path in report.paths if path.name == "cells.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 15
    off = [row for row in rows if row["arm"] == OFF]
    assert [float(row["val_error"]) for row in off] == [0.50, 0.55, 0.47, 1.0, 0.54]
    assert [row["diverged"] for row in off] == ["0", "0", "0", "1", "0"]
