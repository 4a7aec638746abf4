"""Whole studies on a real Ray runtime, into a real MLflow store."""

import json
import os
import signal
import time
from collections import Counter
from contextlib import nullcontext
from functools import partial

import pytest
import torch

from orthotune.api import read_config
from orthotune.errors import StudyError
from orthotune.record.trial_record import Status
from orthotune.study.study_file import read_study
from orthotune.tracking.tracking_uri import resolve_tracking_uri
from orthotune.training.loop import Trial
from tests.crashes import TOO_SLOW, answering, command, ended, runs_of
from tests.said import refusal

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings(
        # Ray's own code on today's Python and libraries
        "ignore::DeprecationWarning:ray.*",
        "ignore::FutureWarning:ray.*",
        "ignore::ResourceWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ),
]


@pytest.fixture(scope="module")
def runtime():
    import ray

    start = partial(
        ray.init,
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        start()
    except Exception as err:
        if TOO_SLOW not in str(err):
            raise
        start()
    yield
    ray.shutdown()


def locations(folder):
    from orthotune.study.result import Locations

    return Locations(
        storage=str(folder / "studies"),
        tracking_uri=resolve_tracking_uri(f"sqlite:///{folder}/mlflow.db"),
    )


def run_here(study, target):
    """Run a study in this process."""
    from orthotune.report.search_report import write_report
    from orthotune.study.data import data_of, read_data
    from orthotune.study.run import run_study

    return run_study(study, target, read_data(data_of(study)), write_report)


def test_the_command_ends_with_a_best_configuration_one_can_train_again(
    tiny_file, tmp_path
):
    confirmed = "--set search.confirm.top=1 --set search.confirm.seeds=2".split()
    process = command(tmp_path, "tiny.yaml", "--name", "again", *confirmed)
    out, err = ended(process)
    assert process.returncode == 0, err
    folder = tmp_path / "studies" / "again"
    assert f"Best configuration  {folder / 'best.yaml'}" in out
    assert "-m mlflow ui --port 5000 --backend-store-uri sqlite:///" in out
    assert "/runs?workflowType=machine_learning" in out
    assert "6/6 trials ended" in err
    lines = (folder / "trials.jsonl").read_text().splitlines()
    trials = [json.loads(line) for line in lines]
    assert [trial["number"] for trial in trials] == list(range(6))
    head = (folder / "best.yaml").read_text().splitlines()[0]
    number = int(head.split("trial ")[1].split(",")[0])
    confirming = [(trial["validates"], trial["fields"]["seed"]) for trial in trials[4:]]
    assert confirming == [(number, 1), (number, 2)]
    assert all(trial["validates"] is None for trial in trials[:4])
    trial = Trial(read_config(str(folder / "best.yaml"), {}))
    for epoch in ("1", "2", "3"):  # the same numbers without Ray, bit for bit
        ours, theirs = trial.run_epoch(), trials[number]["history"][epoch]
        for metric in ("train_loss", "val_loss", "val_error", "gram_deviation_max"):
            assert ours[metric] == theirs[metric]
    client, parent, runs = runs_of(tmp_path, "again")
    assert parent.info.status == "FINISHED"
    assert len(runs) == 6
    mean = (
        trials[4]["history"]["3"]["val_error"] + trials[5]["history"]["3"]["val_error"]
    ) / 2
    assert parent.data.metrics["val_error"] == pytest.approx(mean)
    of = [run.data.tags.get("orthotune.validates") for run in runs]
    assert Counter(of) == {None: 4, str(number): 2}
    expected = Counter(trial["status"] for trial in trials)
    assert Counter(r.data.tags["orthotune.status"] for r in runs) == expected
    assert {r.info.status for r in runs} <= {"FINISHED", "KILLED"}
    here = f"CPU {torch.backends.cpu.get_cpu_capability()}"
    assert {r.data.tags["orthotune.computed_by"] for r in runs} == {here}
    assert [trial["computed_by"] for trial in trials] == [[here]] * 6
    artifacts = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert f"Report              {folder / 'report.html'}" in out
    text = (folder / "report.md").read_text()
    assert " tiny.yaml --set search.confirm.top=1 --set search.con" in text[-120:]
    drawn = {"budget.svg", "curves.svg", "parallel.svg", "schedules.svg", "slices.svg"}
    told = {"tiny.yaml", "best.yaml", "report.html", "report.md", "trials.jsonl"}
    assert artifacts - {"uncommitted.diff"} == told | drawn | {"packages.txt"}
    note = parent.data.tags["mlflow.note.content"]
    assert "**The best**" in note
    assert "| rank | trial | mean val_error |" in note
    for run in runs:
        history = client.get_metric_history(run.info.run_id, "val_error")
        steps = [metric.step for metric in history]
        assert steps == list(range(1, len(steps) + 1))


@pytest.mark.soak
def test_a_trial_whose_end_a_dying_session_did_not_write_keeps_its_checkpoint(
    runtime, tiny_file, tmp_path
):
    overrides = {"search.num_trials": 1, "search.keep_checkpoints": 1}
    study = read_study(str(tiny_file), overrides)
    run_here(study, locations(tmp_path))
    folder = tmp_path / "studies" / "tiny"
    (kept,) = folder.rglob("*.pt")
    content, record = kept.read_bytes(), folder / "record.jsonl"
    lines = record.read_text().splitlines(keepends=True)
    assert [line[:15] for line in lines[-2:]] == ['{"event":"ended', '{"event":"pause']
    record.write_text("".join(lines[:-2]))
    outcome = run_here(study, locations(tmp_path))
    assert [trial.status for trial in outcome.records] == [Status.FINISHED]
    assert kept.read_bytes() == content


@pytest.mark.soak
def test_ctrl_c_closes_everything_and_exits_130(tiny_file, tmp_path):
    process = command(
        tmp_path,
        "tiny.yaml",
        "--set",
        "search.max_epochs=20000",
        "--set",
        "search.scheduler=none",
    )
    for line in process.stderr:
        if "1 running" in line or "2 running" in line:
            break
    time.sleep(3)  # into an epoch
    os.killpg(process.pid, signal.SIGINT)
    out, err = ended(process)
    assert process.returncode == 130, err
    assert "Continue it" in out
    assert "Traceback" not in err
    _, parent, runs = runs_of(tmp_path, "tiny")
    assert parent.info.status == "KILLED"
    assert runs
    assert {run.info.status for run in runs} == {"KILLED"}
    assert {r.data.tags["orthotune.status"] for r in runs} == {"interrupted"}


@pytest.mark.soak
def test_diverged_trials_are_results_and_the_best_is_finite(
    runtime, tiny_file, tmp_path
):
    tiny_file.write_text(
        "name: half\n"
        "search: {num_trials: 8, max_epochs: 2, searcher: random, seed: 0}\n"
        "fixed: {model.depth: 8, data.name: synthetic, data.num_train: 256,\n"
        "  data.batch_size: 16, init.scheme: he}\n"
        "space:\n"
        "  regularizer.coeff: {type: categorical, choices: [1e-3, 1000]}\n"
        "  optimizer.lr: {type: float, low: 0.05, high: 0.1}\n"
    )
    outcome = run_here(read_study(str(tiny_file)), locations(tmp_path))
    by_coeff = {
        (record.fields["regularizer.coeff"], record.status)
        for record in outcome.records
    }
    assert (1000, Status.DIVERGED) in by_coeff
    assert (1e-3, Status.DIVERGED) not in by_coeff
    assert len(outcome.records) == 8
    assert outcome.report.best[0].last("val_error") < 1
    _, parent, runs = runs_of(tmp_path, "half")
    diverged = parent.data.metrics["num_diverged"]
    assert diverged >= 1
    assert parent.data.metrics["divergence_rate"] == diverged / 8
    for run in runs:
        diverged = run.data.tags["orthotune.status"] == "diverged"
        assert (run.info.status == "FAILED") == diverged
        assert ("diverged" in run.data.tags) == diverged


@pytest.mark.soak
def test_a_study_whose_first_trials_fail_alike_stops_with_their_traceback(
    runtime, tiny_file, tmp_path, monkeypatch
):
    from orthotune.tune import trial_runner as module

    class Broken(module.StudyTrainable):
        def _advance(self):
            raise RuntimeError("the roof is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(module, "StudyTrainable", Broken)
        study = read_study(str(tiny_file), {"search.num_trials": 7})
        outcome = run_here(study, locations(tmp_path))
    assert not outcome.report.best
    assert outcome.report.best_file is None
    assert outcome.trace.strip().endswith("RuntimeError: the roof is on fire")
    failed = [r for r in outcome.records if r.status == Status.FAILED]
    assert 3 <= len(failed) < 7
    assert all("roof is on fire" in record.error for record in failed)
    _, parent, runs = runs_of(tmp_path, "tiny")
    assert parent.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in runs}
    # Mended, the same command runs them again, and every trial is there once.
    outcome = run_here(study, locations(tmp_path))
    assert [record.number for record in outcome.records] == list(range(7))
    assert {r.status for r in outcome.records} <= {Status.FINISHED, Status.STOPPED}
    _, parent, runs = runs_of(tmp_path, "tiny")
    assert parent.info.status == "FINISHED"
    assert len(runs) == 7
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}


@pytest.mark.soak
def test_one_broken_trial_does_not_end_a_study(
    runtime, tiny_file, tmp_path, monkeypatch
):
    from orthotune.tune import trial_runner as module

    class SometimesBroken(module.StudyTrainable):
        def _advance(self):
            if "-0001-" in self.trial_name:
                raise RuntimeError("bad luck")
            super()._advance()

    monkeypatch.setattr(module, "StudyTrainable", SometimesBroken)
    outcome = run_here(read_study(str(tiny_file)), locations(tmp_path))
    statuses = [record.status for record in outcome.records]
    assert statuses[1] == Status.FAILED
    assert statuses.count(Status.FAILED) == 1
    assert len(statuses) == 4
    assert outcome.trace is None
    _, parent, runs = runs_of(tmp_path, "tiny")
    assert parent.info.status == "FINISHED"
    (failed,) = [run for run in runs if run.info.status == "FAILED"]
    assert failed.data.tags["error"] == "RuntimeError: bad luck"


@pytest.mark.soak
def test_a_reused_actor_gives_the_results_of_fresh_ones(runtime, tiny_file, tmp_path):
    from orthotune.config.trial import TrialConfig

    overrides = {"search.num_trials": 6, "search.scheduler": "none"}
    outcome = run_here(read_study(str(tiny_file), overrides), locations(tmp_path))
    assert len(outcome.records) == 6  # on two actors
    for record in outcome.records:
        trial = Trial(TrialConfig.from_dict(record.fields))
        for epoch in (1, 2, 3):
            assert trial.run_epoch()["val_loss"] == record.history[epoch]["val_loss"]


@pytest.mark.soak
def test_the_trainable_passes_rays_own_check_of_save_and_restore(runtime):
    from ray.tune.utils import validate_save_restore

    from orthotune.tune.trainable import OrthoTrainable

    config = {"model.depth": 8, "data.num_train": 128, "training.num_epochs": 20}
    assert validate_save_restore(OrthoTrainable, config=config)


def test_a_dead_tracking_server_is_refused_before_anything_is_started(
    tiny_file, tmp_path
):
    process = command(tmp_path, "tiny.yaml", "--tracking-uri", "http://127.0.0.1:9")
    out, err = ended(process)
    assert process.returncode == 2
    assert "must be an MLflow server that answers" in refusal(err)
    assert out == ""
    assert os.listdir(tmp_path) == ["tiny.yaml"]


def test_an_old_tracking_server_is_refused_before_anything_is_started(
    tiny_file, tmp_path
):
    with answering("2.9.0") as uri:
        process = command(tmp_path, "tiny.yaml", "--tracking-uri", uri)
        out, err = ended(process)
    assert process.returncode == 2
    assert refusal(err) == (
        "orthotune: --tracking-uri must be an MLflow server of version 3 or later, but "
        f"{uri} is of 2.9.0 version. Upgrade it."
    )
    assert out == ""
    assert os.listdir(tmp_path) == ["tiny.yaml"]


def test_a_cluster_that_is_not_there_is_refused(tiny_file, tmp_path):
    process = command(tmp_path, "tiny.yaml", "--address", "127.0.0.1:9")
    _, err = ended(process)
    assert process.returncode == 2, err
    sentence = refusal(err)
    assert "must be a Ray cluster that answers, but got '127.0.0.1:9'" in sentence
    assert os.listdir(tmp_path) == ["tiny.yaml"]


@pytest.mark.parametrize("address", ["ray://127.0.0.1:9", "foo", "host:port"])
def test_an_address_that_is_none_is_refused(address, monkeypatch):
    from orthotune.cluster import runtime as module

    with pytest.raises(StudyError, match=r"must be HOST:PORT or auto.*ray job submit"):
        module._check_address(address)


def test_a_trial_this_machine_cannot_hold_is_refused(runtime, tiny_file):
    from orthotune.cluster import runtime as module

    for key, asked in (("cpus", 64), ("gpus", 1)):
        study = read_study(str(tiny_file), {f"resources.{key}": asked})
        words = (
            rf"`resources\.{key}` must be at most what this machine has.*got {asked}"
        )
        with pytest.raises(StudyError, match=words):
            module._check_resources(study)


def test_a_storage_that_cannot_be_opened_is_refused(tiny_study, tmp_path):
    from orthotune.study.result import Locations

    target = Locations(
        storage="foo://bar", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db"
    )
    with pytest.raises(StudyError, match="--storage must be a folder or a URI"):
        run_here(tiny_study, target)
    assert os.listdir(tmp_path) == ["tiny.yaml"]


def test_a_storage_that_is_a_file_is_refused(tiny_study, tmp_path):
    from orthotune.study.result import Locations

    target = Locations(
        storage=str(tmp_path / "tiny.yaml"),
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
    )
    with pytest.raises(StudyError, match=r"--storage must be a folder .*tiny\.yaml is"):
        run_here(tiny_study, target)
    assert os.listdir(tmp_path) == ["tiny.yaml"]


@pytest.mark.soak
def test_plan_starts_nothing(tiny_file, tmp_path):
    process = command(tmp_path, "tiny.yaml", "--plan")
    out, err = ended(process)
    assert process.returncode == 0, err
    assert out.startswith("study      tiny (tiny.yaml)\n")
    assert os.listdir(tmp_path) == ["tiny.yaml"]


@pytest.mark.soak
def test_short_trials_share_the_workers_there_is_room_for(
    runtime, tiny_file, tmp_path, monkeypatch
):
    from orthotune.study import run as whole
    from orthotune.tune import trial_runner as module

    monkeypatch.setattr(whole, "ray_runtime", lambda *_: nullcontext(2))
    seen = tmp_path / "seen"
    seen.mkdir()

    class Signed(module.StudyTrainable):
        def setup(self, config):
            (seen / f"worker {os.getpid()}").touch()
            super().setup(config)

        def save_checkpoint(self, checkpoint_dir):
            (seen / "copy for Ray").touch()
            super().save_checkpoint(checkpoint_dir)

    monkeypatch.setattr(module, "StudyTrainable", Signed)
    settings = {"search.num_trials": 12, "search.max_epochs": 1}
    study = read_study(str(tiny_file), settings)
    outcome = run_here(study, locations(tmp_path))
    assert [record.status for record in outcome.records] == [Status.FINISHED] * 12
    assert "copy for Ray" not in os.listdir(seen)
    assert len(os.listdir(seen)) <= 2
