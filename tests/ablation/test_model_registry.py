"""Which network is registered, and what is said when there is none."""

import pytest

from orthotune.ablation import model_registry as module
from orthotune.ablation.model_registry import best_replicate, register
from orthotune.errors import StudyError
from orthotune.record.checkpoints import CheckpointFolder
from orthotune.record.trial_record import Status
from orthotune.tracking.tracking_uri import resolve_tracking_uri
from orthotune.verdicts.findings import find
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.small import FULL, L2, OFF, TINY


def found(tmp_path, values):
    ablation = tiny(tmp_path, TINY + "register: net\n")
    return find(ablation, trained(ablation, values), DATA)


def test_it_is_the_best_of_the_arm_with_the_smallest_mean(tmp_path):
    values = {FULL: [0.2, 0.3, 0.1], L2: [0.05, 0.5, 0.5], OFF: [0.9, 0.9, 0.9]}
    arm, best = best_replicate(found(tmp_path, values))
    assert (arm, best.seed, best.value) == (FULL, 3, 0.1)


def test_a_divergence_counts_in_the_mean_and_is_not_registered(tmp_path):
    values = {FULL: [0.3, 0.3, 0.3], L2: [0.1, 0.1, Status.DIVERGED], OFF: [None] * 3}
    assert best_replicate(found(tmp_path, values))[0] == FULL
    dead = dict.fromkeys((FULL, L2, OFF), [Status.DIVERGED] * 3)
    assert best_replicate(found(tmp_path, dead)) is None
    with pytest.raises(StudyError, match="No cell of the best arm ran to its end"):
        register(found(tmp_path, dead), "net", CheckpointFolder("none"), "", "id")


def test_an_old_ablation_does_not_take_the_place_of_a_later_one(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    uri = resolve_tracking_uri(f"sqlite:///{tmp_path}/m.db")
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run(client.create_experiment("tiny"))
    monkeypatch.setattr(module, "_run", lambda _client, _tags: run)
    monkeypatch.setattr(module, "_log_model", lambda *_given: None)  # the file alone

    def says(study_id, error):
        values = {FULL: [error] * 3, L2: [0.5] * 3, OFF: [0.9] * 3}
        some = found(tmp_path, values)
        return register(some, "net", CheckpointFolder("none"), uri, study_id)

    def champion():
        return client.get_model_version_by_alias("net", "champion").version

    assert says("old", 0.3).startswith("net, version 1 (champion): full, seed 1")
    assert says("new", 0.2).startswith("net, version 2 (champion): full")
    assert says("old", 0.3).startswith("net, version 1: full")  # looked at again
    assert str(champion()) == "2"
    assert len(client.search_model_versions("name='net'")) == 2


def test_with_register_every_cell_is_run_and_the_best_of_each_arm_kept(tmp_path):
    study = tiny(tmp_path, TINY + "register: net\n").study(reuse=True)
    assert (study.reuse, study.keep_best_of_groups) == (False, True)
    study = tiny(tmp_path).study(reuse=True)
    assert (study.reuse, study.keep_best_of_groups) == (True, False)
