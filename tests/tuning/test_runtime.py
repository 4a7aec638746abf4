"""How many trials a machine holds: no Ray runtime is started here."""

import pytest

from orthotune.tuning import runtime
from orthotune.tuning.study_file import read_study


@pytest.mark.parametrize(
    ("here", "cpus", "gpus", "slots"),
    [
        ({"CPU": 2.0}, 1, 0.0, 2),
        ({"CPU": 5.0}, 2, 0.0, 2),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 1.0, 2),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 2.0, 1),
        ({"CPU": 16.0, "GPU": 3.0}, 1, 2.0, 1),
        ({"CPU": 16.0, "GPU": 1.0}, 1, 0.1, 10),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 0.3, 6),  # three on each, not six and a bit
        ({"CPU": 16.0, "GPU": 8.0}, 8, 0.5, 2),
    ],
)
def test_a_machine_holds_as_many_trials_as_ray_starts(
    here, cpus, gpus, slots, tiny_file, monkeypatch
):
    study = read_study(str(tiny_file), {"resources.cpus": cpus, "resources.gpus": gpus})
    monkeypatch.setattr(runtime.ray, "cluster_resources", lambda: here)
    assert runtime._slots(study) == slots
