"""The command `orthotune.ablate`, as a user types it."""

import csv
import os
import signal
import statistics
import subprocess
import sys

import pytest

from orthotune.ablate import main
from orthotune.train import read_config
from orthotune.training.loop import Trial
from tests import crashes
from tests.ablation.small import TINY
from tests.crashes import runs_of

WAIT_S = 240


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def command(folder, *arguments):
    return crashes.command(folder, "tiny.yaml", *arguments, module="orthotune.ablate")


def finished(process):
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    return out, err


def cells(folder, name="tiny"):
    path = folder / "studies" / name / "cells.csv"
    return list(csv.DictReader(path.read_text().splitlines()))


def assert_arms_are_between(client, parent, trials, rows):
    """Parent, arms, cells; an arm shows the mean of its cells, epoch by epoch."""
    found = client.search_runs([parent.info.experiment_id])
    arms = {
        run.info.run_name: run
        for run in found
        if run.data.tags["orthotune.kind"] == "group"
    }
    assert set(arms) == {row["arm"] for row in rows}
    for name, arm in arms.items():
        assert arm.info.status == "FINISHED"
        assert arm.data.tags["mlflow.parentRunId"] == parent.info.run_id
        own = [float(row["val_error"]) for row in rows if row["arm"] == name]
        shown = arm.data.metrics
        assert shown["val_error"] == pytest.approx(statistics.fmean(own))
        assert shown["val_error_low"] <= shown["val_error"] <= shown["val_error_high"]
        assert shown["num_seeds"] == len(own)
        curve = client.get_metric_history(arm.info.run_id, "val_error")
        assert [point.step for point in curve] == [1, 2]
        below = [
            run
            for run in trials
            if run.data.tags["mlflow.parentRunId"] == arm.info.run_id
        ]
        assert {run.info.run_name for run in below} == {
            f"{name}, seed {row['seed']}" for row in rows if row["arm"] == name
        }
    assert arms["modulation=off"].data.params["modulation.enabled"] == "False"
    assert "difference" in arms["modulation=off"].data.metrics
    assert "difference" not in arms["full"].data.metrics


@pytest.mark.ray
def test_an_ablation_ends_with_verdicts_a_report_and_its_runs(folder):
    out, err = finished(command(folder))
    assert "full is better than modulation=off" in out
    assert f"Report              {folder}/studies/tiny/report.html" in out
    assert "9/9 trials done" in err
    assert "best val_error" not in err
    rows = cells(folder)
    assert [(row["arm"], row["seed"]) for row in rows[:4]] == [
        ("full", "1"),
        ("full", "2"),
        ("full", "3"),
        ("penalty=l2", "1"),
    ]
    client, parent, trials = runs_of(folder, "tiny")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["arms.modulation:off.modulation.enabled"] == "False"
    verdicts = [v for k, v in parent.data.metrics.items() if k.startswith("claims_")]
    assert sum(verdicts) == 2
    report = (folder / "studies" / "tiny" / "report.md").read_text()
    note = parent.data.tags["mlflow.note.content"]
    assert note.splitlines()[:3] == report.splitlines()[:3]
    assert "| modulation=off" in note
    artifacts = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {
        "tiny.yaml",
        "report.html",
        "report.md",
        "cells.csv",
        "curves.svg",
    } <= artifacts
    assert parent.data.tags["claim 1"].endswith("full is better than penalty=l2")
    assert len(trials) == 9
    assert_arms_are_between(client, parent, trials, rows)
    # The same numbers without Ray.
    fields = {"modulation.enabled": False, "seed": 2, "training.num_epochs": 2}
    data = {"data.name": "synthetic", "data.num_train": 64, "data.batch_size": 32}
    (folder / "cell.yaml").write_text(
        "".join(f"{k}: {str(v).lower()}\n" for k, v in (fields | data).items())
        + "model.depth: 8\n"
    )
    trial = Trial(read_config(str(folder / "cell.yaml"), {}))
    trial.run_epoch()
    (row,) = [r for r in rows if (r["arm"], r["seed"]) == ("modulation=off", "2")]
    assert float(row["val_error"]) == trial.run_epoch()["val_error"]
    # Once more: nothing is left to run, and the plan says so.
    again, _ = finished(command(folder))
    assert again.splitlines()[1:] == out.splitlines()[1:]
    assert len(runs_of(folder, "tiny")[2]) == 9
    # What was asked cannot be changed under the answer.
    other = command(folder, "--set", "seeds=[1, 2]")
    _, err = other.communicate(timeout=WAIT_S)
    assert other.returncode == 2
    assert "`looks` was [3] and is [2] (and 1 more). Put it back, or start" in err
    plan, _ = finished(command(folder, "--plan"))
    assert "done       9 of them" in plan


@pytest.mark.ray
def test_a_killed_ablation_goes_on_without_a_double(folder):
    longer = ["--set", "training.num_epochs=6", "--set", "seeds=[1, 2, 3, 4, 5, 6]"]
    process = command(folder, *longer)
    for line in process.stderr:
        if " trials done" in line and not line.strip().startswith("0/"):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    finished(command(folder, *longer))
    finished(command(folder, *longer, "--name", "whole"))
    killed, whole = cells(folder), cells(folder, "whole")
    assert len(whole) == 18
    assert killed == whole
    _, parent, trials = runs_of(folder, "tiny")
    assert parent.info.status == "FINISHED"
    keys = [run.data.tags["orthotune.key"] for run in trials]
    assert len(keys) == len(set(keys)) == 18
    assert {run.info.status for run in trials} == {"FINISHED"}


BREAKING = """\
import os, sys
from importlib.util import find_spec


class Breaking:
    def find_spec(self, name, path, target=None):
        if name != "orthotune.training.loop":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            whole = module.Trial.run_epoch

            def run_epoch(self):
                if self.config.seed == 2 and os.path.exists({flag!r}):
                    raise ValueError("broken on purpose")
                return whole(self)

            module.Trial.run_epoch = run_epoch

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Breaking())
"""
"""A `sitecustomize`, imported by every process: while there is a flag, seed 2 fails."""


@pytest.mark.ray
def test_cells_that_failed_run_again_with_the_next_start(folder, monkeypatch):
    flag = folder / "flag"
    flag.touch()
    (folder / "sitecustomize.py").write_text(BREAKING.format(flag=str(flag)))
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{before}")
    out, _ = finished(command(folder))
    assert "Continue it" in out
    assert len(cells(folder)) == 6
    report = (folder / "studies" / "tiny" / "report.md").read_text()
    assert "full, seed 2: ValueError: broken on purpose" in report
    flag.unlink()
    out, _ = finished(command(folder))
    assert "Continue it" not in out
    assert len(cells(folder)) == 9
    _, parent, trials = runs_of(folder, "tiny")
    assert {run.info.status for run in (parent, *trials)} == {"FINISHED"}
    assert len(trials) == 9


@pytest.mark.ray
def test_arms_that_are_one_configuration_are_trained_once(folder):
    text = TINY.replace(
        '"off": {modulation.enabled: false}', '"off": {optimizer.schedule.gamma: 0.5}'
    )
    (folder / "tiny.yaml").write_text(text)
    process = command(folder, "--set", "seeds=[1, 2]")
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert "4/4 trials done" in err
    assert len(cells(folder)) == 6
    report = (folder / "studies" / "tiny" / "report.md").read_text()
    assert "modulation=off and full are one configuration" in report


@pytest.mark.ray
def test_seeds_are_added_in_one_session_until_there_are_no_more(folder):
    _, err = finished(
        command(
            folder, "--set", "seeds={initial: 2, max: 3}", "--set", "smallest_effect=0"
        )
    )
    assert "9/9 trials done" in err
    rows = cells(folder)
    assert sorted({row["seed"] for row in rows}) == ["1", "2", "3"]
    report = (folder / "studies" / "tiny" / "report.md").read_text()
    assert "judged after 2 and 3 of them, at 2 looks each at 1 / 2" in report
    assert "still to run" not in report
    record = (folder / "studies" / "tiny" / "record.jsonl").read_text()
    assert record.count('"event":"session"') == 1


def test_a_bad_file_exits_2_with_one_sentence_and_changes_nothing(folder, capsys):
    (folder / "tiny.yaml").write_text(TINY.replace("seeds:", "seed:"))
    before = sorted(folder.rglob("*"))
    assert main(["tiny.yaml"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("orthotune: tiny.yaml:16: `seed` is not a key here.")
    assert len(printed.err.splitlines()) == 1
    assert sorted(folder.rglob("*")) == before


def test_a_bad_file_is_refused_before_anything_heavy_is_imported(folder):
    (folder / "tiny.yaml").write_text(TINY.replace("seeds:", "seed:"))
    code = (
        "import sys, orthotune.ablate as a\n"
        "assert a.main(['tiny.yaml']) == 2\n"
        "heavy = {'torch', 'numpy', 'ray', 'mlflow', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_plan_says_what_would_run_and_starts_nothing(folder, capsys):
    assert main(["tiny.yaml", "--plan"]) == 0
    plan = capsys.readouterr().out
    assert "cells      9: 3 arms x 3 seeds" in plan
    assert "done       0 of them" in plan
    assert "modulation=off: modulation.enabled = False" in plan
    assert "detects    a difference of 3.3 standard deviations" in plan
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.yaml"]
