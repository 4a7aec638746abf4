"""Where trials are measured: no Ray is started here."""

import pytest

from orthotune.cluster import gpu_measurement as measuring
from orthotune.errors import StudyError


@pytest.mark.parametrize(
    ("resources", "cpus", "asked"),
    [
        ({"GPU": 1.0}, 1, False),  # a head on which no trial is to run
        ({"GPU": 1.0, "CPU": 1.0}, 2, False),
        ({"GPU": 1.0, "CPU": 2.0}, 2, True),
        ({"CPU": 2.0}, 2, False),
    ],
)
def test_only_gpus_on_which_trials_can_run_are_asked_for(
    resources, cpus, asked, monkeypatch
):
    class Task:
        def options(self, **_how):
            return self

        def remote(self):
            return "answer"

    node = {"NodeID": "ab" * 28, "Resources": resources}
    monkeypatch.setattr(measuring, "alive_nodes", lambda: [node])
    monkeypatch.setattr(measuring.ray, "remote", lambda _function: Task())
    monkeypatch.setattr(measuring.ray, "get", lambda _ref, timeout: ["H100"])
    nodes = measuring._gpu_nodes(cpus)
    assert nodes == ([node] if asked else [])
    if asked:
        assert measuring._kinds(nodes) == {"H100": node}
        monkeypatch.setattr(measuring.ray, "get", lambda _ref, timeout: [])
        with pytest.raises(StudyError, match="must see the 1 GPUs that Ray sees, but"):
            measuring._kinds(nodes)
