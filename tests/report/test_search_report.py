import json
import subprocess
import sys
from html.parser import HTMLParser

from orthotune.api import read_config
from orthotune.config.trial import TrialConfig
from orthotune.record.trial_record import Status
from orthotune.report.search_report import (
    write_config,
    write_report,
    write_trials,
)
from tests.made_records import record

RECORDS = [
    record(0, [0.5, 0.25], **{"model.depth": 8, "model.widths": [4, 4, 4]}),
    record(1, [0.9], Status.STOPPED, **{"model.widths": [4, 8, 8]}),
    record(2, [1.0], Status.DIVERGED),
    record(3, [], Status.FAILED),
    record(4, [0.8], Status.OOM),
    record(5, [0.6], Status.INTERRUPTED),
]


class Nesting(HTMLParser):
    """Which elements of a page are open; each must end where it should."""

    VOID = ("meta", "br", "hr", "img")

    def __init__(self):
        super().__init__()
        self.open = []

    @classmethod
    def of(cls, page):
        nesting = cls()
        nesting.feed(page)
        return nesting

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


FILES = [
    "report.html",
    "best.yaml",
    "report.md",
    "budget.svg",
    "curves.svg",
    "parallel.svg",
    "slices.svg",
    "schedules.svg",
    "trials.jsonl",
]


def test_best_yaml_is_the_whole_configuration_and_train_reads_it(tmp_path):
    fields = {
        "optimizer.lr": 1.2345678901234567e-05,
        "regularizer.coeff": 1e-05,
        "model.widths": [4, 8, 8],
        "modulation.enabled": False,
        "data.num_train": None,
        "seed": 2**53 + 1,
        "data.root": "1e5",
    }
    path = tmp_path / "my studies é" / "best.yaml"
    path.parent.mkdir()
    best = record(0, [0.25], **fields)
    write_config(path, best, why="The best of study s.", commits=["abc"])
    assert read_config(str(path), {}) == TrialConfig.from_dict(best.fields)
    head = path.read_text(encoding="utf-8").splitlines()[:3]
    assert head[:2] == ["# The best of study s.", "# Code: commit abc."]
    assert head[2] == f"# Again: python -m orthotune.train '{path}'"


def test_the_trials_file_holds_every_history(tmp_path):
    path = tmp_path / "trials.jsonl"
    write_trials(path, RECORDS)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["status"] for line in lines] == [
        "finished",
        "stopped",
        "diverged",
        "failed",
        "oom",
        "interrupted",
    ]
    assert [line["number"] for line in lines] == [0, 1, 2, 3, 4, 5]
    assert lines[0]["key"] == "key0"
    assert lines[0]["fields"] == RECORDS[0].fields
    assert lines[0]["history"]["2"]["val_error"] == 0.25
    assert lines[3]["error"] == "ValueError: broken"


def test_the_trials_file_holds_nothing_that_differs_when_a_study_is_run_again(tmp_path):
    write_trials(tmp_path / "one.jsonl", RECORDS)
    later = [record(0, [0.5, 0.25], **RECORDS[0].fields), *RECORDS[1:]]
    later[0].started_ms += 1000
    later[0].ended_ms += 1000
    later[0].reported_ms = {1: 1, 2: 2}
    write_trials(tmp_path / "two.jsonl", later)
    ours, theirs = (tmp_path / name for name in ("one.jsonl", "two.jsonl"))
    assert ours.read_text() == theirs.read_text()


def test_a_report_is_every_file_with_the_best_first(tiny_study, tmp_path):
    records = [*RECORDS, record(6, [0.9, 0.125], **RECORDS[0].fields)]
    report = write_report(tiny_study, tmp_path, records, ["abc"])
    assert [entry.number for entry in report.best] == [6, 0]
    assert report.table.splitlines()[1].split()[:3] == ["1", "6", "0.1250"]
    assert [path.relative_to(tmp_path).as_posix() for path in report.paths] == FILES
    best = (tmp_path / "best.yaml").read_text()
    assert best.startswith(
        "# First in the search, not confirmed, of study tiny: trial 6, val_error 0.1250"
    )
    assert "# Code: commit abc." in best
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == len(records)
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "tiny.yaml"}


def test_a_report_without_a_result_names_no_best(tiny_study, tmp_path):
    report = write_report(tiny_study, tmp_path, RECORDS[3:4], [])
    assert report.best == []
    assert report.best_file is None
    left = [n for n in FILES if n not in ("best.yaml", "slices.svg", "schedules.svg")]
    assert [path.name for path in report.paths] == left
    assert {path.name for path in tmp_path.iterdir()} == {*left, "tiny.yaml"}


def test_what_is_drawn_no_more_does_not_stay(tiny_study, tmp_path):
    (tmp_path / "importance.svg").write_text("of an earlier session")
    write_report(tiny_study, tmp_path, RECORDS, [])
    assert not (tmp_path / "importance.svg").exists()


def test_the_page_holds_every_figure_and_repeats_itself(tiny_study, tmp_path):
    report = write_report(tiny_study, tmp_path, RECORDS, ["abc"], "python -m x")
    first = {path: path.read_bytes() for path in report.paths}
    again = write_report(tiny_study, tmp_path, list(RECORDS), ["abc"], "python -m x")
    assert {path: path.read_bytes() for path in again.paths} == first
    page = report.page.read_text()
    assert page.count("<svg role") == 5
    assert page.count('<span class="live"') == 4
    assert Nesting.of(page).open == []
    assert "report.html" in report.note


def test_nothing_that_only_a_report_needs_is_imported_before_it():
    code = (
        "import sys\n"
        "import orthotune.report.search_report, orthotune.study.run\n"
        "late = {'matplotlib', 'sklearn', 'scipy', 'optuna.importance'}\n"
        "print(sorted(late & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
