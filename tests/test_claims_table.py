"""The table of claims is what the ledgers say."""

import importlib.util
from pathlib import Path

import pytest

from tests.statistics.made import further

ROOT = Path(__file__).parents[1]


def loaded(name):
    """A script of `ablations/`, which is no package."""
    path = ROOT / "ablations" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


claims_table, judged_anew = loaded("claims_table"), loaded("judged_anew")
RESULTS = ROOT / "ablations" / "results"


def test_the_page_is_up_to_date():
    page = claims_table.PAGE.read_text()
    assert claims_table.updated(page, RESULTS) == page, "make results"


@pytest.mark.parametrize("name", ["batch_norm", *further("retuned", "components")])
def test_the_verdicts_are_those_of_the_cells(name):
    report = (RESULTS / name / "report.md").read_text()
    judged = judged_anew.judged(report, judged_anew.findings(RESULTS / name))
    assert judged == report, "make results"
    assert judged_anew.JUDGED in report


def test_every_claim_of_a_ledger_is_a_row():
    rows = claims_table.table(RESULTS).splitlines()[2:]
    for folder in ("components", "depth", "schedule", "batch_norm"):
        report = (RESULTS / folder / "report.md").read_text()
        verdicts = report.partition("\n## ")[0].count("- **")
        assert verdicts > 0
        assert sum(f"results/{folder}/report.md" in row for row in rows) == verdicts


def test_a_report_is_read_by_the_names_of_its_columns():
    report = (
        "# Why?\n\n## Claims\n\n"
        "| n | verdict | claim | effect | 95 % interval | p of equivalence | test | "
        "corrected p |\n|---|---|---|---|---|---|---|---|\n"
        "| 5 | supported | a is better than b | +0.1 | [+0.05, +0.15] | 0.9 | t | "
        "0.01 |\n"
        "\n## Arms\n\n| arm | mean |\n"
    )
    assert claims_table.claims(report) == [
        [
            "a is better than b",
            "supported",
            "+0.1",
            "[+0.05, +0.15]",
            "0.01",
            "0.9",
            "5",
        ]
    ]


def test_claims_judged_again_after_re_tuning_follow():
    report = (RESULTS / "retuned" / "report.md").read_text()
    rows = claims_table.claims(report)
    assert len(rows) == 6
    top = report.partition("\n## ")[0]
    for shared, again in zip(rows[:3], rows[3:], strict=True):
        assert again[0] == f"{shared[0]}, re-tuned"
        assert f"- **{shared[1]}**: {shared[0]}; re-tuned: **{again[1]}**" in top
        assert again[2] != shared[2]


def test_a_page_without_a_place_for_it_is_refused():
    with pytest.raises(ValueError, match="must hold the lines"):
        claims_table.updated("# Nothing\n", RESULTS)
