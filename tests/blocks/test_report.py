import csv
import re

import pytest

from orthotune.ablation.report import AblationReport
from orthotune.blocks.report import report_writer
from tests.ablation.small import FULL, OFF
from tests.blocks.made import BLOCKS, DATA, TWO, A, B, read, trained
from tests.blocks.test_findings import VALUES


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report on both blocks, and its folder."""
    folder = tmp_path_factory.mktemp("blocks")
    ablation = read(folder)
    records = trained(ablation, VALUES)
    return report_writer(ablation, DATA, "again!")(None, folder, records, ["abc1"])


def test_the_first_sentence_says_where_a_claim_holds_and_where_not(written):
    lines = written.paths[1].read_text().splitlines()
    assert lines[0] == "# Does anything matter on a tiny network?"
    claims = [line for line in lines if line.startswith("- **full is better")]
    assert lines[2] == claims[0]
    assert claims[0].startswith(
        "- **full is better than penalty=l2** makes no difference on synthetic, is "
        "undecided on digits; over all equivalent ("
    )
    assert claims[1].startswith(
        "- **full is better than modulation=off** holds on synthetic, makes no "
        "difference on digits; over all undecided ("
    )


def test_blocks_stand_below_the_claims_over_all(written):
    text = written.paths[1].read_text()
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == ["## Over all blocks", f"## {A}", f"## {B}", "## How it was run"]
    assert text.count("### Claims") == text.count("### Arms") == 2
    assert "| I^2 " in text
    assert "| next block " in text
    assert (
        "block digits, in every arm: data.name = digits, data.num_train = 100" in text
    )
    names = {path.name for path in written.paths}
    assert {"report.html", "synthetic_curves.svg", "digits_differences.svg"} <= names


def test_the_differences_of_every_block_answer_with_its_own_numbers(written):
    page = written.paths[0].read_text()
    for block, value in ((A, "0.1020"), (B, "0.2100")):  # the first seed of penalty=l2
        assert f'"{block}_differences"' in page
        note = re.search(rf'"{block}_[^"]*: penalty=l2, 1": ?"([^"]*)"', page)
        assert f"val_error of penalty=l2: {value}" in note[1]


def test_tables_say_which_block_a_cell_is_of(written):
    (path,) = [path for path in written.paths if path.name == "cells.csv"]
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["block"], row["arm"]) for row in rows[::15]] == [(A, FULL), (B, FULL)]
    off = [float(r["val_error"]) for r in rows if (r["block"], r["arm"]) == (A, OFF)]
    assert off == VALUES[A, OFF]


def test_mlflow_has_the_arms_of_every_block_and_all_verdicts(written):
    groups = {group.name: group.tags for group in written.groups}
    assert set(groups) == {
        f"{block}: {arm}" for block in (A, B) for arm in (FULL, "penalty=l2", OFF)
    }
    assert groups[f"{B}: {OFF}"] == {"orthotune.arm": OFF, "orthotune.block": B}
    assert written.metrics["claims_equivalent"] == 2.0
    assert written.metrics["overall_claims_undecided"] == 1.0
    assert written.metrics["overall_claims_equivalent"] == 1.0
    assert "holds on synthetic" in written.tags["claim 2"]
    assert written.worked
    assert "report.html" in written.note


def test_without_blocks_the_report_is_that_of_the_ablation(tmp_path):
    ablation = read(tmp_path, TWO.replace(BLOCKS, ""))
    found = report_writer(ablation, DATA, "again!")(None, tmp_path, [], ["abc1"])
    assert isinstance(found, AblationReport)
    assert "block" not in found.paths[1].read_text()
