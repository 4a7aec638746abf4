"""Trials that are shorter than the start of a worker."""

import os
from contextlib import contextmanager

import pytest
import ray

from orthotune.search import _fingerprints
from orthotune.tuning import study as module
from orthotune.tuning.journal import Status
from orthotune.tuning.study_file import read_study
from orthotune.tuning.tracking import resolve_tracking_uri

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


@pytest.fixture
def room_for_two(monkeypatch):
    """A Ray of the study's own, as `ray_runtime` gives it."""
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )

    @contextmanager
    def runtime(_study, _address):
        yield 2

    monkeypatch.setattr(module, "ray_runtime", runtime)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("room_for_two")
def test_short_trials_share_the_workers_there_is_room_for(
    tiny_file, tmp_path, monkeypatch
):
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
    places = module.Places(
        storage=str(tmp_path / "studies"),
        tracking_uri=resolve_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db"),
    )
    outcome = module.run_study(study, places, _fingerprints(study))
    assert [record.status for record in outcome.records] == [Status.FINISHED] * 12
    assert "copy for Ray" not in os.listdir(seen)
    assert len(os.listdir(seen)) <= 2
