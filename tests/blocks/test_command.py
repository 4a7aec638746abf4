"""An ablation on two blocks as a user types it; killed, it goes on as ever."""

import csv
import os
import signal

import pytest

from orthotune.ablation import plan
from tests import crashes
from tests.ablation.small import TINY
from tests.blocks.made import BLOCKS, DATA, read
from tests.crashes import ended, runs_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(TINY + BLOCKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def rows(folder, name):
    text = (folder / "studies" / name / "cells.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def test_the_plan_lists_and_prices_every_block(folder, monkeypatch):
    seconds = {"digits": 0.8, "synthetic": 8.0}
    monkeypatch.setattr(
        plan,
        "timed_epoch",
        lambda fields, _resources: (seconds[fields["data.name"]], 0),
    )
    text = plan.plan_text(read(folder), DATA, str(folder), num_cpus=1)
    assert "cells      30: 3 arms x 5 seeds x 2 blocks (synthetic, digits)" in text
    # 2 epochs of 15 cells each, one at a time: 2 * 15 * (0.8 + 8) s.
    assert "time       about 4 min 24 s, 1 at once here; an epoch takes 0.80 s" in text
    assert " 0.80 s for plain-8 on digits, 8.00 s for plain-8 on synthetic" in text
    assert (
        "block digits, in every arm: data.name = digits, data.num_train = 100" in text
    )


@pytest.mark.ray
@pytest.mark.soak
def test_a_killed_ablation_on_blocks_ends_as_the_undisturbed_one(folder):
    longer = ["--set", "training.num_epochs=6"]

    def begun(*more):
        return crashes.command(
            folder, "tiny.yaml", *longer, *more, module="orthotune.ablate"
        )

    process = begun()
    for line in process.stderr:
        if " cells ended" in line and " 0/" not in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    for more in ((), ("--name", "whole", "--no-reuse")):
        process = begun(*more)
        out, err = ended(process)
        assert process.returncode == 0, err
        assert "- **full is better than modulation=off** " in out
        assert "; over all " in out
    assert rows(folder, "tiny") == rows(folder, "whole")
    assert len(rows(folder, "whole")) == 18
    client, parent, trials = runs_of(folder, "tiny")
    assert len({run.data.tags["orthotune.key"] for run in trials}) == len(trials) == 18
    names = {
        run.info.run_name: run.data.tags.get("orthotune.block")
        for run in client.search_runs([parent.info.experiment_id])
        if run.data.tags["orthotune.kind"] == "group"
    }
    assert names["digits: modulation=off"] == "digits"
    assert len(names) == 6
