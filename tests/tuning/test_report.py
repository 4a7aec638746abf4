import json

from orthotune.train import read_config
from orthotune.training.config import TrialConfig
from orthotune.tuning.figure import draw_study
from orthotune.tuning.journal import Status
from orthotune.tuning.report import (
    best_table,
    counts,
    divergence_rate,
    write_config,
    write_report,
    write_trials,
)
from orthotune.tuning.search_space import CategoricalParameter, FloatParameter
from tests.tuning.records import record

LR = FloatParameter(name="optimizer.lr", low=1e-3, high=1, log=True)
DEPTH = CategoricalParameter(name="model.depth", choices=(8, 14))
WIDTHS = CategoricalParameter(name="model.widths", choices=([4, 4, 4], [4, 8, 8]))
RECORDS = [
    record(0, [0.5, 0.25], **{"model.depth": 8, "model.widths": [4, 4, 4]}),
    record(1, [0.9], Status.STOPPED, **{"model.widths": [4, 8, 8]}),
    record(2, [1.0], Status.DIVERGED),
    record(3, [], Status.FAILED),
    record(4, [0.8], Status.OOM),
    record(5, [0.6], Status.INTERRUPTED),
]


def test_the_table_shows_rank_trial_value_and_what_was_varied():
    table = best_table([RECORDS[0]], "val_error", [LR, DEPTH])
    header, row = table.splitlines()
    assert header.split() == [
        "rank",
        "trial",
        "val_error",
        "epochs",
        "optimizer.lr",
        "model.depth",
    ]
    assert row.split() == ["1", "0", "0.2500", "2", "0.01", "8"]


def test_the_table_holds_the_five_best_and_a_dash_for_what_a_trial_has_not():
    table = best_table([record(n, [0.1]) for n in range(9)], "val_error", [DEPTH])
    assert len(table.splitlines()) == 6
    assert table.splitlines()[-1].split() == ["5", "4", "0.1000", "1", "-"]


def test_counts_name_only_what_happened():
    assert counts(RECORDS) == {
        Status.FINISHED: 1,
        Status.STOPPED: 1,
        Status.DIVERGED: 1,
        Status.FAILED: 1,
        Status.OOM: 1,
        Status.INTERRUPTED: 1,
    }
    assert counts([]) == {}


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
    write_config(path, best, why="The best of study s.", commit="abc")
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
    report = write_report(tiny_study, tmp_path, records, "abc")
    assert [entry.number for entry in report.best] == [6, 0]
    assert report.table.splitlines()[1].split()[:3] == ["1", "6", "0.1250"]
    assert sorted(report.paths) == sorted(
        tmp_path / name for name in ("best.yaml", "study.png", "trials.jsonl")
    )
    best = (tmp_path / "best.yaml").read_text()
    assert best.startswith("# The best of study tiny: trial 6, val_error 0.1250 after")
    assert "# Code: commit abc." in best
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == len(records)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.yaml",
        "study.png",
        "tiny.yaml",
        "trials.jsonl",
    ]


def test_a_report_without_a_result_names_no_best(tiny_study, tmp_path):
    report = write_report(tiny_study, tmp_path, RECORDS[3:4], None)
    assert report.best == []
    assert report.best_file is None
    assert sorted(path.name for path in report.paths) == ["study.png", "trials.jsonl"]
    assert not (tmp_path / "best.yaml").exists()


def test_the_figure_is_drawn_for_any_mix_of_trials(tmp_path):
    for name, records in (("mixed", RECORDS), ("none", []), ("failed", RECORDS[3:])):
        path = tmp_path / f"{name}.png"
        draw_study(
            path,
            name=name,
            metric="val_error",
            parameters=[LR, DEPTH, WIDTHS],
            records=records,
        )
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_divergence_rate_counts_what_has_ended():
    assert divergence_rate(RECORDS[:4]) == 1 / 4
    running = record(4, [0.5], Status.RUNNING)
    assert divergence_rate([*RECORDS[:4], running]) == 1 / 4
    assert divergence_rate([running]) == 0
