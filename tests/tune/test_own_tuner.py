"""A network of one's own in one's own Tuner, under the schedulers that Ray has."""

import os
import sys
from pathlib import Path

import pytest
import ray
from ray import tune
from ray.tune.schedulers import (
    ASHAScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    PopulationBasedTraining,
)
from ray.tune.schedulers.pb2 import PB2
from ray.tune.utils import validate_save_restore

from orthotune.config.metrics import METRICS
from orthotune.config.plugins import import_plugins
from orthotune.training.checkpoint import config_of, load_checkpoint
from orthotune.training.loop import Trial
from orthotune.tune.trainable import CHECKPOINT, OrthoTrainable
from tests.plugins import NET, Writer
from tests.small import TIMINGS

pytestmark = pytest.mark.ray

FIXED = {
    "imports": ["narrow_net"],
    "model": {"family": "my_net", "my_net": {"width": 4, "dropout": 0.1}},
    "data.num_train": 96,
    "data.batch_size": 32,
    "optimizer.schedule": {"kind": "constant", "warmup": 0},
    "training.num_epochs": 4,
}
VARIED = {
    "optimizer": {"lr": tune.loguniform(1e-3, 1e-1)},
    "regularizer": {"coeff": tune.loguniform(1e-5, 1e-2)},
}


@pytest.fixture(scope="module")
def started_ray(tmp_path_factory):
    """A Ray whose workers import from where this was started, as a user's do."""
    writer, before = Writer(tmp_path_factory.mktemp("narrow")), os.getcwd()
    writer.write(NET, "narrow_net")
    os.chdir(writer.folder)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    import_plugins(["narrow_net"])
    yield
    ray.shutdown()
    os.chdir(before)
    sys.path.remove(str(writer.folder))
    writer.forget()


@pytest.fixture
def fit(started_ray, tmp_path):
    """A function that runs trials under a scheduler, to the end of them all."""

    def run(scheduler, num_samples=4, **how):
        results = tune.Tuner(
            tune.with_resources(OrthoTrainable, {"cpu": 2}),  # one process, that starts
            param_space={**FIXED, **VARIED},
            tune_config=tune.TuneConfig(
                metric="val_loss",
                mode="min",
                num_samples=num_samples,
                reuse_actors=True,
                scheduler=scheduler,
                **how,
            ),
            run_config=tune.RunConfig(
                storage_path=str(tmp_path),
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
            ),
        ).fit()
        assert results.num_errors == 0, results.errors
        assert results.num_terminated == num_samples
        return results

    return run


def assert_schedules_repeat(results, copies=1):
    """Every trial's last epoch is that of its schedule, trained from scratch."""
    changed = 0
    for result in results:
        rates = result.metrics_dataframe[["lr", "config/optimizer/lr"]]
        assert (rates["lr"] == rates["config/optimizer/lr"]).all()
        state = load_checkpoint(Path(result.checkpoint.path, CHECKPOINT))
        config = config_of(state)
        changed += len(config.changes.epochs)
        trial = Trial(config)
        while not trial.finished:
            metrics = trial.run_epoch()
        for name in set(METRICS) - TIMINGS:
            assert metrics[name] == result.metrics[name], name
    assert changed >= copies


INTERVALS = {"time_attr": "training_iteration", "perturbation_interval": 1}


@pytest.mark.soak
def test_a_population_of_rays_own_lives_through_what_its_schedules_say(fit):
    halves = PopulationBasedTraining(
        **INTERVALS, hyperparam_mutations=VARIED, quantile_fraction=0.5, synch=True
    )
    assert_schedules_repeat(fit(halves, num_samples=2))


@pytest.mark.soak
def test_a_population_whose_members_wait_for_nobody_does_so_too(fit):
    scheduler = PopulationBasedTraining(**INTERVALS, hyperparam_mutations=VARIED)
    assert_schedules_repeat(fit(scheduler), copies=0)  # that is a matter of time


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:scipy.optimize:DeprecationWarning")  # Ray's call
def test_pb2_lives_through_what_its_schedules_say(fit):
    bounds = {"optimizer": {"lr": [1e-3, 1e-1]}, "regularizer": {"coeff": [1e-5, 1e-2]}}
    halves = PB2(
        **INTERVALS,
        hyperparam_bounds=bounds,
        quantile_fraction=0.5,
        synch=True,
    )
    # What it tries is its own matter: of two trials it may try nothing new.
    assert_schedules_repeat(fit(halves, num_samples=2), copies=0)


@pytest.mark.soak
@pytest.mark.parametrize(
    "scheduler",
    [
        ASHAScheduler(time_attr="epoch", max_t=4, grace_period=1, reduction_factor=2),
        HyperBandScheduler(time_attr="epoch", max_t=4, reduction_factor=2),
    ],
)
def test_what_stops_or_pauses_trials_ends_them_all(fit, scheduler):
    results = fit(scheduler)
    assert max(result.metrics["epoch"] for result in results) == 4


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:Please use:DeprecationWarning")  # Ray's call
def test_bohb_ends_all_its_trials(fit):
    pytest.importorskip("ConfigSpace", reason="BOHB needs ConfigSpace")
    pytest.importorskip("hpbandster", reason="BOHB needs hpbandster")
    from ray.tune.search.bohb import TuneBOHB

    scheduler = HyperBandForBOHB(time_attr="training_iteration", max_t=4)
    results = fit(scheduler, search_alg=TuneBOHB(seed=1), max_concurrent_trials=4)
    assert max(result.metrics["epoch"] for result in results) == 4


@pytest.mark.soak
def test_rays_own_check_of_saving_and_restoring_passes(started_ray):
    assert validate_save_restore(OrthoTrainable, {**FIXED, "training.num_epochs": 3})
