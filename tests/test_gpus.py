"""GPUs are shared by what trials of each shape take of them."""

import json
import re

import pytest
from mlflow import MlflowClient

from tests.crashes import Cluster, Server, Workplace, ended, read_trials
from tests.fake_gpus import python_path

pytestmark = pytest.mark.ray

AUTO = """\
search: {num_trials: 8, max_epochs: 1, searcher: random, seed: 2}
resources: {gpus: auto}
fixed: {data.batch_size: 32}
space:
  model.depth: {type: categorical, choices: [8, 14]}
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
"""


@pytest.mark.soak
def test_a_study_measures_its_shapes_once_and_packs_gpus(tmp_path, monkeypatch):
    path = python_path(tmp_path / "site", 2)
    monkeypatch.setenv("PYTHONPATH", path)
    cluster = Cluster(cpus=8, gpus=2, PYTHONPATH=path)
    server = Server(tmp_path / "mlflow")
    places = ("--address", cluster.address, "--tracking-uri", server.uri)
    try:
        work = Workplace(tmp_path / "work", *places)
        (work.folder / "killed.yaml").write_text(AUTO)
        process = work.start()
        _, said = ended(process)
        assert process.returncode == 0, said
        plan = Workplace(tmp_path / "work", "--plan")  # which measures nothing anew
        (plan.folder / "killed.yaml").write_text(AUTO)
        planned, _ = ended(plan.start())
        client = MlflowClient(server.uri)
        (found,) = client.search_experiments(filter_string="name = 'killed'")
        runs = client.search_runs([found.experiment_id])
    finally:
        cluster.stop()
        server.kill()
    assert "2 of 2 seen" in said  # the preflight
    assert "measured 2 of 2 shapes" in said
    lines = {
        8: "on Fake GPU: 0.25 GPU a trial (1.00 of 100.0 GB, 25% busy)",
        14: "on Fake GPU: 0.5 GPU a trial (1.00 of 100.0 GB, 50% busy)",
    }
    (parent,) = [r for r in runs if r.data.tags["orthotune.kind"] == "study"]
    tag = parent.data.tags["orthotune.gpus"].splitlines()
    for depth, words in lines.items():
        (line,) = [one for one in tag if one.startswith(f"plain-{depth} ")]
        assert line.endswith(words)
        assert line in said
        measured = words.partition("trial ")[2]  # the share is of fewer cores here
        assert re.search(
            rf"plain-{depth} .* on Fake GPU.*{re.escape(measured)}", planned
        )
    studies = tmp_path / "work" / "studies"
    (by_kind,) = json.loads((studies / "gpu-footprints.json").read_text()).values()
    assert len(by_kind["Fake GPU"]) == 2
    trials = read_trials(studies / "killed" / "trials.jsonl")
    assert {trial["status"] for trial in trials} == {"finished"}
    assert {trial["fields"]["model.depth"] for trial in trials} == {8, 14}
