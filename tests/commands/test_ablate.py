"""The command `orthotune.ablate`, as a user types it."""

import csv
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import orthotune
from orthotune.api import read_config
from orthotune.commands.ablate import main
from orthotune.config.trial import TrialConfig
from orthotune.training.loop import Trial
from tests import crashes
from tests.ablation.small import RETUNE, TINY
from tests.crashes import HANGING_S, ended, runs_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def command(folder, *arguments):
    return crashes.command(folder, "tiny.yaml", *arguments, module="orthotune.ablate")


def finished(process):
    out, err = ended(process)
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
def test_an_ablation_ends_with_verdicts_a_report_and_its_runs(folder, capsys):
    out, err = finished(command(folder))
    assert "full is better than modulation=off" in out
    assert f"Report              {folder}/studies/tiny/report.html" in out
    assert "9/9 cells ended" in err
    assert "lowest val_error" not in err
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
    assert "best_val_error" not in parent.data.metrics
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
    _, err = ended(other)
    assert other.returncode == 2
    assert "`looks` was [3] and is [2] (and 1 more). Put it back, or start" in err
    assert main(["tiny.yaml", "--plan"]) == 0
    assert "done       9 of them" in capsys.readouterr().out


@pytest.mark.ray
@pytest.mark.soak
def test_a_killed_ablation_goes_on_without_a_double(folder):
    longer = ["--set", "training.num_epochs=6", "--set", "seeds=[1, 2, 3, 4, 5, 6]"]
    process = command(folder, *longer)
    for line in process.stderr:
        if " cells ended" in line and " 0/" not in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    finished(command(folder, *longer))
    finished(command(folder, *longer, "--name", "whole", "--no-reuse"))
    killed, whole = cells(folder), cells(folder, "whole")
    assert len(whole) == 18
    assert killed == whole
    _, parent, trials = runs_of(folder, "tiny")
    assert parent.info.status == "FINISHED"
    keys = [run.data.tags["orthotune.key"] for run in trials]
    assert len(keys) == len(set(keys)) == 18
    assert {run.info.status for run in trials} == {"FINISHED"}


@pytest.mark.ray
@pytest.mark.soak
def test_arms_are_tuned_and_asked_again_also_after_a_kill(folder):
    (folder / "tiny.yaml").write_text(TINY + RETUNE + "register: tiny-net\n")
    longer = ["--set", "training.num_epochs=4", "--set", "seeds=[1, 2]"]
    process = command(folder, *longer)
    record = folder / "studies/tiny/record.jsonl"
    while not (record.exists() and ", re-tuned" in record.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    out, _ = finished(command(folder, *longer))
    assert "; re-tuned: **undecided**" in out  # two seeds decide nothing
    assert_best_draws_were_asked_again(folder / "studies" / "tiny")
    client, parent, trials = runs_of(folder, "tiny")
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["re-tuned claim 1"].startswith("undecided")
    keys = [run.data.tags["orthotune.key"] for run in trials]
    assert len(keys) == len(set(keys))
    found = client.search_runs([parent.info.experiment_id])
    groups = {
        run.info.run_name for run in found if run.data.tags["orthotune.kind"] == "group"
    }
    assert {"full", "tuning: full"} < groups
    assert any(name.endswith(", re-tuned") for name in groups)
    assert "tuning: full, draw 2" in {run.info.run_name for run in trials}
    assert_is_registered(folder, client, out)
    plan, _ = finished(command(folder, *longer, "--plan"))
    assert "re-tuned   9 trials (3 an arm), 9 of them done" in plan
    assert "time       about 0 s" in plan


LOAD = """\
import sys
import mlflow
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/mlflow.db")
model = mlflow.pytorch.load_model("models:/tiny-net/1")
assert not any(name.startswith("orthotune") for name in sys.modules)
from orthotune.config.trial import TrialConfig
from orthotune.data.datasets import load_dataset
config = TrialConfig.from_dict({"data.name": "synthetic"})
val = load_dataset(config.data).val
wrong = (model(val.images.float()).argmax(1) != val.targets).sum().item()
print(wrong / len(val))
"""


def assert_is_registered(folder, client, out):
    """A fresh process loads the best network, without our code, and it is the best."""
    (first,) = client.search_model_versions("name='tiny-net'")
    champion = client.get_model_version_by_alias("tiny-net", "champion")
    assert champion.version == first.version
    arm, seed, error = (first.tags[name] for name in ("arm", "seed", "val_error"))
    assert f"tiny-net, version 1 (champion): {arm}, seed {seed}" in out
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGING_S,
    )
    assert float(done.stdout) == pytest.approx(float(error))


def assert_best_draws_were_asked_again(study):
    """Every arm has three draws, and ran again with the best, as without Ray."""
    tables = [
        list(csv.DictReader((study / name).read_text().splitlines()))
        for name in ("tuning_trials.csv", "retuned_cells.csv")
    ]
    tried, again = tables
    record = [json.loads(line) for line in (study / "trials.jsonl").open()]
    for arm in ("full", "penalty=l2", "modulation=off"):
        own = [row for row in tried if row["arm"] == arm]
        assert [row["draw"] for row in own] == ["0", "1", "2"]
        best = min(own, key=lambda row: float(row["val_error"]))
        cells = [row for row in again if row["arm"] == arm]
        assert [row["seed"] for row in cells] == ["1", "2"]
        for row in cells:
            fields = record[int(row["trial"])]["fields"]
            assert json.loads(best["values"]).items() <= fields.items()
    trial = Trial(TrialConfig.from_dict(record[int(again[0]["trial"])]["fields"]))
    while not trial.finished:
        metrics = trial.run_epoch()
    assert float(again[0]["val_error"]) == metrics["val_error"]


@pytest.mark.ray
@pytest.mark.soak
def test_what_another_study_has_run_is_not_run_again(folder, monkeypatch):
    # Installed code is known by its version, whatever this checkout looks like.
    installed = folder / "installed"
    package = Path(orthotune.__file__).parent
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, installed / "orthotune", ignore=without)
    monkeypatch.setenv("PYTHONPATH", str(installed))
    first, _ = finished(command(folder, "--set", "seeds=[1, 2]"))
    assert "tiny: 6 cells in" in first
    # The first look is all there, and makes a second necessary.
    looks = ["--set", "seeds={initial: 2, max: 3}", "--set", "smallest_effect=0"]
    out, _ = finished(command(folder, "--name", "more", *looks))
    assert "more: 9 cells, 6 of them taken from other studies, in" in out
    more = cells(folder, "more")
    assert len(more) == 9
    report = (folder / "studies/more/report.md").read_text()
    assert "6 results taken from other studies of the same MLflow store" in report
    assert "with the same code: tiny (6)." in report
    _, parent, trials = runs_of(folder, "more")
    taken = [r for r in trials if "orthotune.reused" in r.data.tags]
    assert len(taken) == 6
    assert all(r.data.tags["orthotune.reused"].startswith("tiny, run ") for r in taken)
    assert {run.info.status for run in (parent, *trials)} == {"FINISHED"}
    of = {
        r.data.tags["orthotune.key"]: r.data.metrics for r in runs_of(folder, "tiny")[2]
    }
    for run in taken:
        assert run.data.metrics == of[run.data.tags["orthotune.key"]]


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
@pytest.mark.soak
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
@pytest.mark.soak
def test_arms_that_are_one_configuration_are_trained_once(folder):
    text = TINY.replace(
        '"off": {modulation.enabled: false}', '"off": {optimizer.schedule.gamma: 0.5}'
    )
    (folder / "tiny.yaml").write_text(text)
    process = command(folder, "--set", "seeds=[1, 2]")
    _, err = ended(process)
    assert process.returncode == 0, err
    assert "4/4 cells ended" in err
    assert len(cells(folder)) == 6
    report = (folder / "studies" / "tiny" / "report.md").read_text()
    assert "modulation=off and full are one configuration" in report


@pytest.mark.ray
@pytest.mark.soak
def test_seeds_are_added_in_one_session_until_there_are_no_more(folder):
    _, err = finished(
        command(
            folder, "--set", "seeds={initial: 2, max: 3}", "--set", "smallest_effect=0"
        )
    )
    assert "9/9 cells ended" in err
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
        "import sys, orthotune.commands.ablate as a\n"
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
