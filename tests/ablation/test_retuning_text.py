import csv

from orthotune.ablation.report import report_writer
from tests.ablation.cells import DATA
from tests.ablation.retuned import AGAIN, TUNING, asked, ended
from tests.ablation.small import OFF


def test_the_report_has_both_columns_and_says_where_they_differ(tmp_path):
    ablation = asked(tmp_path)
    records = ended(ablation, again=AGAIN)
    report = report_writer(ablation, DATA, "again!")(None, tmp_path, records, ["abc1"])
    text = (tmp_path / "report.md").read_text()
    top = "- **supported**: full is better than modulation=off; re-tuned: **undecided**"
    assert top in text
    numbers = text.partition(top)[2].splitlines()[1]
    assert numbers.startswith("  effect +0.4000 [")
    assert "5 seeds; re-tuned: effect -0.0020 [" in numbers
    remark = (
        "full is better than modulation=off: supported at the shared setting, "
        "undecided after every arm was tuned. It may have helped only because the rest"
    )
    assert remark in text
    row = next(
        line
        for line in text.partition("## After re-tuning")[2].splitlines()
        if line.startswith(f"| {OFF}")
    )
    shown = [cell.strip() for cell in row.strip("|").split("|")]
    assert shown[1].startswith("optimizer.lr = ")
    assert shown[2:6] == ["3", "1", "0.5160", "0.1140"]
    assert [cell.split()[0] for cell in shown[6:]] == ["+0.4000", "-0.0020"]
    assert report.metrics["retuned_claims_undecided"] == 2.0
    assert report.tags["re-tuned claim 2"].startswith("undecided: full is better")
    names = [path.name for path in report.paths]
    assert {"retuned_curves.svg", "retuned_cells.csv"} < set(names)
    with (tmp_path / "tuning_trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_error"]) for row in rows[-3:]] == [0.5, 0.4, 1.0]


def test_a_report_before_tuning_has_ended_says_so(tmp_path):
    ablation = asked(tmp_path)
    records = ended(ablation, TUNING | {OFF: [None] * 3})
    report = report_writer(ablation, DATA, "again!")(None, tmp_path, records, ["abc1"])
    text = (tmp_path / "report.md").read_text()
    assert "Re-tuning has not ended: 3 trials to run or failed" in text
    assert "Not known yet" in text
    assert not (tmp_path / "retuned_cells.csv").exists()
    assert "retuned_claims_undecided" not in report.metrics
