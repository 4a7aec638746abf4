"""A population: its members in this process, its schedules, and a whole study."""

import math
import random
import time

import pytest
from mlflow import MlflowClient
from ray.tune.result import TRIAL_INFO

from orthotune.config.metrics import METRICS
from orthotune.config.trial import TrialConfig
from orthotune.errors import SearchSpaceError
from orthotune.record.checkpoints import CheckpointFolder
from orthotune.record.population import settings_at
from orthotune.record.trial_record import TrialRecord
from orthotune.study.study_file import read_study
from orthotune.training.loop import Trial
from orthotune.tune.assignment import CHANGED_FIELDS, STUDY, assignment
from orthotune.tune.worker import StudyTrainable
from tests import small
from tests.crashes import (
    STATUSES,
    command,
    ended,
    kill_driver,
    kill_worker,
    read_trials,
    study_in,
)
from tests.object_store import KEYS, ObjectStore
from tests.ray_part import trial_info
from tests.studies import PBT

pytestmark = pytest.mark.usefixtures("one_thread")

FIELDS = {**small.FIELDS, "training.num_epochs": 6}


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "pbt.yaml"
    path.write_text(PBT)
    return read_study(str(path))


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(str(tmp_path / "checkpoints"))


def member(folder, number, lr, reported=0, **fields):
    """A member of the population, as Ray makes it."""
    record = TrialRecord(
        number=number,
        key="abc",
        fields={**FIELDS, "optimizer.lr": lr, **fields},
        history={epoch: {} for epoch in range(1, reported + 1)},
    )
    info = trial_info(record.name)
    task = assignment(folder, record, member=True)
    return StudyTrainable(config={STUDY: task, "optimizer.lr": lr, TRIAL_INFO: info})


def shown(result):
    return {
        name: result[name] for name in ("epoch", *METRICS) if name not in small.TIMINGS
    }


def from_scratch(fields):
    trial = Trial(TrialConfig.from_dict({**FIELDS, **fields}))
    results = []
    while not trial.finished:
        metrics = trial.run_epoch()
        results.append(shown(metrics | {"epoch": trial.epoch}))
    return results


def copied(donor, other, lr, tmp_path):
    """What Ray does when `other` is to go on from the state of `donor`."""
    place = tmp_path / "ray"
    place.mkdir(exist_ok=True)
    donor.save_checkpoint(str(place))
    config = {**donor.config, "optimizer.lr": lr, TRIAL_INFO: other._trial_info}
    assert other.reset(config)
    other.load_checkpoint(str(place))


# A member


def test_a_member_that_copies_nobody_is_the_trial_alone(folder):
    one = member(folder, 0, 0.05)
    results = [one.train() for _ in range(6)]
    assert [shown(result) for result in results] == from_scratch({"optimizer.lr": 0.05})
    assert [result["done"] for result in results] == [False] * 5 + [True]
    assert all(result["hp/optimizer.lr"] == 0.05 for result in results)
    assert all(result[CHANGED_FIELDS]["changes.epochs"] == [] for result in results)


def test_what_a_copy_lived_through_gives_the_same_from_scratch(folder, tmp_path):
    donor, other = member(folder, 0, 0.05), member(folder, 1, 0.5)
    for _ in range(2):
        donor.train(), other.train()
    copied(donor, other, 0.04, tmp_path)
    third = [other.train(), other.train()]
    assert [result["hp/optimizer.lr"] for result in third] == [0.04, 0.04]
    donor.train(), donor.train()
    copied(other, donor, 0.03, tmp_path)  # and back, with all its past
    last = [donor.train(), donor.train()]
    changed_fields = last[-1][CHANGED_FIELDS]
    assert changed_fields["changes.epochs"] == [2, 4]
    assert changed_fields["changes.lr"] == [0.04, 0.03]
    assert changed_fields["optimizer.lr"] == 0.05
    expected = from_scratch(changed_fields)
    assert [shown(result) for result in (*third, *last)] == expected[2:]


def test_a_copy_with_its_donors_settings_is_known_as_its_donor(folder, tmp_path):
    donor, other = member(folder, 0, 0.05), member(folder, 1, 0.5)
    donor.train(), other.train()
    copied(donor, other, 0.05, tmp_path)
    result = other.train()
    assert result[CHANGED_FIELDS]["optimizer.lr"] == 0.05
    assert shown(result) == from_scratch({"optimizer.lr": 0.05})[1]


def test_a_copy_never_skips_an_epoch(folder, tmp_path):
    """Ray may hand on a state that its donor saved after the comparison."""
    donor, other = member(folder, 0, 0.05), member(folder, 1, 0.5)
    for _ in range(3):
        donor.train()
    other.train()
    copied(donor, other, 0.04, tmp_path)
    results = [other.train(), other.train()]
    assert [result["epoch"] for result in results] == [2, 3]
    changed_fields = results[-1][CHANGED_FIELDS]
    assert (changed_fields["optimizer.lr"], changed_fields["changes.lr"]) == (
        0.5,
        [0.04],
    )
    assert [shown(result) for result in results] == from_scratch(changed_fields)[1:3]


def test_a_disk_that_is_full_while_ray_saves_is_told(folder, tmp_path, monkeypatch):
    one = member(folder, 0, 0.05)
    one.train()
    (tmp_path / "ray").mkdir()
    with monkeypatch.context() as patch:

        def fail(*_):
            raise OSError(28, "No space left on device")

        patch.setattr(CheckpointFolder, "write", fail)
        one.save_checkpoint(str(tmp_path / "ray"))
    result = one.train()
    assert result["checkpoint_error"] == f"{folder.uri}/: No space left on device"
    assert "checkpoint_error" not in one.train()


def test_a_paused_member_goes_on_as_it_was(folder, tmp_path):
    one = member(folder, 0, 0.05)
    one.train()
    place = tmp_path / "ray"
    place.mkdir()
    one.save_checkpoint(str(place))
    again = member(folder, 0, 0.05)
    again.load_checkpoint(str(place))
    results = [again.train() for _ in range(5)]
    expected = from_scratch({"optimizer.lr": 0.05})
    assert [shown(result) for result in results] == expected[1:]
    assert results[-1][CHANGED_FIELDS]["changes.epochs"] == []


def test_a_copy_that_dies_at_any_epoch_goes_on_as_the_copy(folder, tmp_path):
    """Never as what it was before, though its first checkpoint was of that."""
    donor, other = member(folder, 0, 0.05), member(folder, 1, 0.5)
    for _ in range(2):
        donor.train(), other.train()
    copied(donor, other, 0.04, tmp_path)
    trained = 2
    while trained < 6:
        # Ray knows what was reported only: of the change nothing at first.
        after_death = member(folder, 1, 0.5, reported=trained)
        results = [after_death.train()]
        while results[-1]["epoch"] <= trained:
            results.append(after_death.train())
        trained += 1
        assert results[-1]["hp/optimizer.lr"] == 0.04
        changed_fields = results[-1][CHANGED_FIELDS]
        assert shown(results[-1]) == from_scratch(changed_fields)[trained - 1]


def test_a_member_that_goes_on_says_first_where_it_stands(folder):
    one = member(folder, 0, 0.05)
    one.train(), one.train()
    one.stop()
    again = member(folder, 0, 0.05, reported=2)
    assert [again.train()["epoch"] for _ in range(2)] == [2, 3]


def test_a_diverged_member_waits_for_a_better_state(folder, tmp_path):
    explosive = {"regularizer.coeff": 1000}
    one, other = member(folder, 0, 100, **explosive), member(folder, 1, 0.05)
    results = [one.train() for _ in range(3)]
    assert [result["epoch"] for result in results] == [1, 2, 3]
    assert all(result["diverged"] == 1 for result in results[-2:])
    assert all(result["val_error"] == 1 for result in results[-2:])
    assert not any(result["done"] for result in results)
    for _ in range(3):
        other.train()
    copied(other, one, 0.05, tmp_path)
    revived = one.train()
    assert revived["diverged"] == 0
    assert shown(revived) == from_scratch({"optimizer.lr": 0.05})[3]


def test_a_diverged_member_that_nobody_revives_ends_with_its_budget(folder):
    one = member(folder, 0, 100, **{"regularizer.coeff": 1000})
    results = [one.train() for _ in range(6)]
    assert [result["done"] for result in results] == [False] * 5 + [True]
    assert all(math.isfinite(results[-1][name]) for name in METRICS)


# Schedulers and schedules


def test_settings_are_those_of_the_epoch(study):
    lr = study.space.parameters[:1]
    lived = {"changes.epochs": [2], "changes.lr": [0.2], "optimizer.lr": 0.1}
    config = TrialConfig.from_dict({**lived, "training.num_epochs": 6})
    assert settings_at(config, lr, 1) == {"optimizer.lr": 0.1}
    assert settings_at(config, lr, 2) == {"optimizer.lr": 0.2}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("modulation.strength: {", "modulation.schedule.final: {", 11, "cannot change"),
        ("high: 1}", "high: 1, when: {model.depth: 8}}", 11, "must be absent for pbt"),
        ("float, low: 0.5", "int, low: 0", 11, "float or categorical for pbt"),
        ("num_trials: 4", "num_trials: 3", 3, "at least 4 for pbt"),
        ("model.depth: 8", "changes.epochs: [3]", 6, "what pbt is to find"),
        ("perturbation_epochs: 2", "perturbation_epochs: 6", 3, "less than"),
        ("seed: 1", "max_concurrent: 1", 3, "must be null for pbt"),
        ("validation_seeds: 2", "validation_seeds: 0", 4, "[1, 1000]"),
    ],
)
def test_what_a_population_cannot_be_is_refused(tmp_path, old, new, line, words):
    path = tmp_path / "pbt.yaml"
    assert old in PBT
    path.write_text(PBT.replace(old, new))
    with pytest.raises(SearchSpaceError) as caught:
        read_study(str(path))
    assert f"{path}:{line}" in str(caught.value)
    assert words in str(caught.value)


def test_a_space_of_too_few_configurations_is_no_population(tmp_path):
    path = tmp_path / "pbt.yaml"
    few = "  optimizer.lr: {type: categorical, choices: [0.1, 0.2, 0.3]}\n"
    path.write_text(PBT.split("  optimizer.lr")[0] + few)
    with pytest.raises(SearchSpaceError, match="at least 4 configurations for pbt"):
        read_study(str(path))


# A whole study


def run_to_the_end(folder, *more):
    process = command(folder, "pbt.yaml", *more)
    out, err = ended(process)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return out


def epochs_in(study):
    record = study / "record.jsonl"
    return record.read_text().count('"epoch":') if record.exists() else 0


def trials(folder):
    return read_trials(study_in(folder, "pbt") / "trials.jsonl")


def assert_whole(folder, store=None):
    """Every trial with its full history, in MLflow once, and some true from scratch."""
    found = trials(folder)
    assert [trial["validates"] is None for trial in found] == [True] * 4 + [False] * 6
    assert all(sorted(map(int, t["history"])) == [1, 2, 3, 4, 5, 6] for t in found)
    for trial in [*[t for t in found if t["lived"]][:1], *found[4::3]]:
        fields = {**trial["fields"], **trial["lived"]}
        alone = Trial(TrialConfig.from_dict(fields))
        while not alone.finished:
            last = alone.run_epoch()
        ours = trial["history"]["6"]
        assert {name: ours[name] for name in last.keys() - small.TIMINGS} == {
            name: last[name] for name in last.keys() - small.TIMINGS
        }
    client = MlflowClient(tracking_uri=store or f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("pbt")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 11
    for run in runs:
        if run.data.tags["orthotune.kind"] == "study":
            assert run.info.status == "FINISHED"
            continue
        trial = found[int(run.data.tags["orthotune.trial"])]
        assert run.info.status == STATUSES[trial["status"]]
        assert run.data.params["optimizer.lr"] == str(trial["fields"]["optimizer.lr"])
        validates = run.data.tags.get("orthotune.validates", "None")
        assert validates == str(trial["validates"])
        for name in ("val_loss", *(k for k in trial["history"]["6"] if "hp/" in k)):
            points = client.get_metric_history(run.info.run_id, name)
            expected = [trial["history"][str(e)][name] for e in range(1, 7)]
            assert [point.step for point in points] == [1, 2, 3, 4, 5, 6]
            assert [point.value for point in points] == expected


@pytest.mark.ray
def test_a_population_changes_in_training_and_the_study_ends_well(tmp_path):
    """Ray's MLflow callback ends such a study: a parameter is logged once more."""
    (tmp_path / "pbt.yaml").write_text(PBT)
    small = ("data.name=synthetic", "data.num_train=256")
    out = run_to_the_end(tmp_path, *(w for one in small for w in ("--set", one)))
    found = trials(tmp_path)
    changed = [trial for trial in found if trial["lived"]]
    assert changed  # or nothing was copied
    assert "in population" in out
    assert not (tmp_path / "studies" / "pbt" / "ray").exists()
    assert_whole(tmp_path)


@pytest.mark.ray
@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_a_population_that_is_killed_again_and_again_is_a_whole_one(tmp_path, seed):
    rng = random.Random(seed)
    (tmp_path / "pbt.yaml").write_text(PBT)
    wanted = 0
    while True:
        wanted += rng.randrange(1, 20)
        process = command(tmp_path, "pbt.yaml")
        while process.poll() is None:
            if epochs_in(tmp_path / "studies" / "pbt") > wanted:
                break
        if process.poll() is not None:
            break
        if rng.random() < 0.5:
            kill_driver(process)
        else:  # all that trains, at once; the others are paused
            kill_worker(process)
            _, err = ended(process)
            assert "Traceback" not in err
            assert process.returncode == 0, err
    run_to_the_end(tmp_path)
    assert_whole(tmp_path)


@pytest.mark.ray
@pytest.mark.soak
def test_a_population_in_an_object_store_goes_on_elsewhere(tmp_path, monkeypatch):
    """Members copy each other through the bucket; so does the next driver."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    objects, store = ObjectStore(), f"sqlite:///{tmp_path}/mlflow.db"
    places = ("--storage", objects.uri, "--tracking-uri", store)
    try:
        for kill, node in enumerate("ab"):
            (tmp_path / node).mkdir()
            (tmp_path / node / "pbt.yaml").write_text(PBT)
            process = command(tmp_path / node, "pbt.yaml", *places)
            wanted = 9 + 9 * kill
            while epochs_in(study_in(tmp_path / node, "pbt")) < wanted:
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            assert any("/pbt/ray/" in name for name in objects.names())
            kill_driver(process)
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "pbt.yaml").write_text(PBT)
        out = run_to_the_end(tmp_path / "c", *places)
        names = objects.names()
    finally:
        objects.stop()
    assert "in population" in out
    assert any(trial["lived"] for trial in trials(tmp_path / "c"))
    assert not [name for name in names if "/pbt/ray/" in name]
    assert_whole(tmp_path / "c", store)
