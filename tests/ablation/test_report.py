"""The report of an ablation: what stands in it, and that its files can be read."""

from tests.ablation.small import FIVE, FULL, L2, OFF
from tests.ablation.written import VALUES, text_of, write


def test_mlflow_is_given_what_fits_into_a_tag(tmp_path):
    report = write(tmp_path, VALUES, FIVE)
    assert report.note.startswith("# Does anything matter on a tiny network?")
    assert "**supported**: full is better than modulation=off" in report.note
    assert "| penalty=l2" in report.note
    assert len(report.note) < len(text_of(report)) / 2
    assert report.note.endswith("The whole report is the artifact `report.html`.")


def test_a_report_of_nothing_is_a_report(tmp_path):
    report = write(tmp_path, {FULL: [None] * 3, L2: [None] * 3, OFF: [None] * 3})
    assert not report.worked
    assert all(path.exists() for path in report.paths)
    assert "9 cells are still to run before the next verdict" in text_of(report)
