"""What a study's record alone gives: tables, the best, networks."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from orthotune.archive.loaded import load_study
from orthotune.config.trial import TrialConfig
from orthotune.errors import CheckpointError, StudyError
from orthotune.record.event_log import EventLog
from orthotune.record.mirror import RecordMirror
from orthotune.record.trial_record import Status
from orthotune.storage.lock import study_lock
from orthotune.study.study_file import read_study
from orthotune.training.checkpoint import dump_checkpoint
from orthotune.training.loop import Trial
from tests.ablation.small import TINY as ABLATION
from tests.made_studies import DATA, ablated, begun, ran, searched

OLD = Path(__file__).parents[1] / "records" / "2026-11"
POPULATION = """\
name: members
search: {num_trials: 4, max_epochs: 2, scheduler: pbt, perturbation_epochs: 1,
         validation_seeds: 2}
fixed: {model.depth: 8, data.name: synthetic}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1, log: true}
"""
TRIALS = [
    (0.01, [0.5, 0.4, 0.3]),
    (0.02, [0.6, 0.3, 0.2]),
    (0.03, [0.1], Status.STOPPED),
    (0.04, [0.9, 1.0, 1.0], Status.DIVERGED),
]


@pytest.fixture
def storage(tmp_path, tiny_file):
    searched(tmp_path / "studies", str(tiny_file), TRIALS)
    return tmp_path / "studies"


def test_a_row_a_trial_with_what_varies_and_the_last_metrics(storage):
    trials = load_study("tiny", storage).trials
    assert list(trials.trial) == [0, 1, 2, 3]
    assert list(trials.status) == ["finished", "finished", "stopped", "diverged"]
    assert list(trials.epochs) == [3, 3, 1, 3]
    assert list(trials["optimizer.lr"]) == [0.01, 0.02, 0.03, 0.04]
    assert list(trials.val_error) == [0.3, 0.2, 0.1, 1.0]
    assert list(trials.seed) == [0, 0, 0, 0]
    assert "regularizer.coeff" in trials  # of the space, though the same in all
    assert "model.depth" not in trials
    assert not [name for name in trials if ".schedule." in name]
    assert trials.started.dt.tz is not None
    assert (trials.ended >= trials.started).all()


def test_a_row_an_epoch_with_what_was_reported(storage):
    history = load_study("tiny", storage).history
    assert len(history) == 10
    own = history[history.trial == 1]
    assert list(own.epoch) == [1, 2, 3]
    assert list(own.val_error) == [0.6, 0.3, 0.2]


def test_a_study_in_which_nothing_has_run_has_empty_tables(tmp_path, tiny_study):
    begun(tiny_study, tmp_path)
    study = load_study("tiny", tmp_path)
    assert len(study.trials) == len(study.history) == 0
    assert {"trial", "status", "optimizer.lr", "error"} <= set(study.trials.columns)
    with pytest.raises(StudyError, match=r"but none has ended\. Look at `trials`"):
        study.best  # noqa: B018


def test_the_best_of_a_search_ran_as_long_as_the_longest(storage):
    study = load_study("tiny", storage)
    assert study.best_trial == 1
    assert study.best.optimizer.lr == 0.02
    assert study.best_value == 0.2


def test_the_best_cell_of_an_ablation_is_of_the_arm_with_the_smallest_mean(tmp_path):
    (tmp_path / "ablation.yaml").write_text(ABLATION)
    errors = {
        "full": [0.1, 0.7, 0.7],
        "modulation=off": [0.4, 0.2, 0.3],
        "penalty=l2": [0.5, 0.5, 0.5],
    }
    ablation = ablated(tmp_path, str(tmp_path / "ablation.yaml"), errors)
    study = load_study(ablation.name, tmp_path)
    best = study.trials.set_index("trial").loc[study.best_trial]
    assert (best.group, best.label, best.val_error) == ("modulation=off", "seed 2", 0.2)
    assert study.best.seed == 2
    assert not study.best.modulation.enabled
    assert study.trials.groupby("group").val_error.mean()["full"] == pytest.approx(0.5)


def test_the_best_of_a_population_is_the_best_from_scratch(tmp_path):
    (tmp_path / "p.yaml").write_text(POPULATION)
    study = read_study(str(tmp_path / "p.yaml"))
    journal = begun(study, tmp_path)
    for lr, error in ((0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4)):
        ran(journal, study.trial_fields({"optimizer.lr": lr}), [0.9, error])
    journal.begin_confirmation(study.settings.search.confirm)
    for member, seed, error in ((0, 1, 0.5), (0, 2, 0.7), (1, 1, 0.4), (1, 2, 0.4)):
        fields = journal[member].fields | {"seed": seed}
        ran(journal, fields, [0.9, error], validates=member)
    found = load_study(study.settings.name, tmp_path)
    assert (found.best_trial, found.best_value, found.confirmed) == (1, 0.4, True)
    confirms = found.trials.confirms
    assert confirms.isna().tolist() == [True] * 4 + [False] * 4
    assert confirms[4:].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "best", "value", "trials", "epochs"),
    [
        ("search", 1, 0.3933, 6, 15),
        ("population", 0, 1.3685, 7, 42),
        ("ablation", 2, 0.8233, 6, 12),
    ],
)
def test_a_record_of_older_code_is_loaded(name, best, value, trials, epochs):
    """With what its report says is best; the files of the studies are not read."""
    study = load_study(OLD / name)
    assert study.best_trial == best
    assert f"{study.best_value:.4f}" == f"{value:.4f}"
    assert (len(study.trials), len(study.history)) == (trials, epochs)


def test_a_path_is_as_good_as_a_name(storage, monkeypatch):
    assert load_study(storage / "tiny").best_trial == 1
    monkeypatch.chdir(storage.parent)
    assert load_study("tiny").best_trial == 1
    monkeypatch.chdir(storage / "tiny")
    assert load_study(".").name == "tiny"


def test_an_unknown_study_is_refused_with_those_there_are(storage):
    with pytest.raises(StudyError, match=r"tiyn must be the folder .* are: tiny\.$"):
        load_study("tiyn", storage)


def test_a_study_that_runs_is_read_and_not_touched(storage, tiny_study):
    folder = storage / "tiny"
    with (folder / "record.jsonl").open("ab") as record:
        record.write(b'{"event":"started","num')  # its writer is in the middle of it
    before = (folder / "record.jsonl").read_bytes()
    assert not load_study("tiny", storage).running
    with study_lock(folder / "lock"):
        study = load_study("tiny", storage)
        assert study.running
        assert len(study.trials) == 4
    assert (folder / "record.jsonl").read_bytes() == before


def test_what_runs_is_interrupted_only_if_nobody_runs_it(tmp_path, tiny_study):
    journal = begun(tiny_study, tmp_path)
    fields = tiny_study.trial_fields({"optimizer.lr": 0.1, "regularizer.kind": "l2"})
    ran(journal, fields, [0.5], Status.RUNNING)
    with study_lock(tmp_path / "tiny" / "lock"):
        assert list(load_study("tiny", tmp_path).trials.status) == ["running"]
    assert list(load_study("tiny", tmp_path).trials.status) == ["interrupted"]


def test_a_study_stays_as_it_was_first_asked(storage, tiny_study):
    study = load_study("tiny", storage)
    (storage / "tiny" / "record.jsonl").unlink()
    assert len(study.history) == 10  # read late, of what was there


def test_a_record_of_another_version_has_its_tables(tmp_path, tiny_study):
    journal = begun(tiny_study, tmp_path)
    record = journal.suggest("key", {"optimizer.lr": 0.1, "optimizer.dampening": 0.5})
    journal.start(record.number)
    study = load_study("tiny", tmp_path)
    assert list(study.trials["optimizer.lr"]) == [0.1]
    with pytest.raises(StudyError, match=r"^Trial 0 of tiny .* `optimizer\.dampening`"):
        study.config(0)


def test_a_record_of_another_format_is_refused(storage):
    path = storage / "tiny" / "record.jsonl"
    path.unlink()
    log = EventLog(path)
    log.append({"event": "study", "format": 2, "id": "x", "definition": {}, "time": 1})
    log.close()
    with pytest.raises(StudyError, match="must be a record of format 1, but is not"):
        load_study("tiny", storage)


def test_a_study_in_a_storage_by_uri_is_read_from_there(storage, tmp_path, monkeypatch):
    there = tmp_path / "there"
    monkeypatch.chdir(tmp_path)
    mirror = RecordMirror(storage / "tiny" / "record.jsonl", f"{there.as_uri()}/tiny")
    mirror.settle()
    study = load_study("tiny", there.as_uri())
    assert study.best_trial == 1
    assert len(study.history) == 10


def test_a_report_that_is_not_there_is_said(storage):
    study = load_study("tiny", storage)
    with pytest.raises(StudyError, match=r"report\.html must have been written, but"):
        study.report  # noqa: B018
    (storage / "tiny" / "report.html").write_text("")
    assert study.report == storage / "tiny" / "report.html"


def test_tables_wait_for_no_torch(storage):
    code = (
        "import sys, orthotune\n"
        f"study = orthotune.load_study('tiny', {str(storage)!r})\n"
        "study.trials, study.history, study.best\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'optuna'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.fixture
def trained(tmp_path, tiny_study):
    """A study with one trial that was really trained, and its checkpoint kept."""
    journal = begun(tiny_study, tmp_path)
    fields = tiny_study.trial_fields(
        {"optimizer.lr": 0.05, "regularizer.kind": "none", "model.widths": [4, 8, 8]}
    )
    trial = Trial(TrialConfig.from_dict(fields))
    record = ran(journal, fields, [], Status.RUNNING)
    while not trial.finished:
        journal.report(record.number, trial.epoch + 1, trial.run_epoch())
    journal.end(record.number, Status.FINISHED)
    ran(journal, {**fields, "optimizer.lr": 0.06}, [0.9, 0.9, 0.95])
    folder = tmp_path / "tiny" / "checkpoints" / "0123456789ab"
    folder.mkdir(parents=True)
    content = dump_checkpoint({"trial": trial.state_dict(), "history": []})
    (folder / f"{record.name}.pt").write_bytes(content)
    return load_study("tiny", tmp_path), trial, folder / f"{record.name}.pt"


def test_the_best_network_makes_the_errors_that_were_recorded(trained):
    study, trial, _ = trained
    network = study.network()
    val = trial.dataset.val
    assert not network.training
    with torch.no_grad():
        logits = network(val.images)  # as they were read
        same = network(val.images.float())
    assert torch.equal(logits, same)
    wrong = (logits.argmax(1) != val.targets).float().mean().item()
    recorded = study.trials.set_index("trial").loc[0, "val_error"]
    assert wrong == pytest.approx(recorded, abs=1e-6)


def test_a_network_that_was_not_kept_is_said_with_those_that_were(trained):
    study, _, _ = trained
    with pytest.raises(StudyError, match=r"trial 1 of tiny must .* trials: 0\. Name"):
        study.network(1)
    with pytest.raises(StudyError, match=r"a trial of tiny, 0 to 1, but got 7\.$"):
        study.network(7)


def test_a_damaged_checkpoint_is_refused(trained):
    study, _, path = trained
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        study.network()


def test_the_data_of_made_studies_are_those_of_the_tiny_one(tiny_study):
    assert tiny_study.space.fixed["data.name"] in DATA


def test_a_joint_choice_has_a_column_for_each_of_its_fields(tmp_path):
    path = tmp_path / "joint.yaml"
    path.write_text(
        "name: joint\nfixed: {data.name: synthetic}\nspace:\n"
        "  optimizer.lr: {type: float, low: 1e-3, high: 1, log: true}\n"
        "  size:\n    type: joint\n    choices:\n"
        "      - {model.depth: 8, data.batch_size: 64}\n"
        "      - {model.depth: 14, data.batch_size: 64}\n"
    )
    searched(tmp_path / "studies", str(path), [(0.01, [0.5, 0.4])])
    trials = load_study("joint", tmp_path / "studies").trials
    assert {"model.depth", "data.batch_size"} <= set(trials)
    assert "size" not in trials
