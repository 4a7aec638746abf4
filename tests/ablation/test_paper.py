"""ablations/paper_cifar10.yaml: what it asks, and that it runs, on small files."""

import csv
import json
import os
from pathlib import Path

import pytest

from orthotune.commands.ablate import main
from orthotune.config.trial import TrialConfig
from orthotune.design.ablation import Claim
from orthotune.design.ablation_file import read_ablation
from tests import crashes
from tests.cifar import TRUSTING, trust_here, write_cifar10
from tests.crashes import ended

FILE = Path(__file__).parents[2] / "ablations" / "paper_cifar10.yaml"
NETWORKS = {
    "plain-44": ("plain", 44),
    "plain-110": ("plain", 110),
    "resnet-44": ("residual", 44),
    "resnet-110": ("residual", 110),
}
SMALL = [
    "--set=training.num_epochs=2",
    "--set=seeds=[51]",
    "--set=resources.gpus=0",
    "--set=data.num_train=32",
    "--set=data.batch_size=16",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a CIFAR-10 of 54 images to train and 6 to validate."""
    pytest.importorskip("torchvision")
    write_cifar10(tmp_path / "files", num_train=60, num_test=10)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configs():
    """The configuration of every arm; that of `full` under its own name."""
    arms = read_ablation(str(FILE)).arms
    named = {arm.name: TrialConfig.from_dict(arm.fields) for arm in arms}
    named["plain-44"] = named.pop("full")
    return named


def test_every_network_is_trained_by_the_method_and_by_l2():
    found = configs()
    names = [*NETWORKS, *(f"{name} l2" for name in NETWORKS)]
    assert sorted(found) == sorted(names)
    for name, network in NETWORKS.items():
        ours, l2 = found[name], found[f"{name} l2"]
        for config in (ours, l2):
            assert (config.model.family, config.model.depth) == network
        assert ours.init.scheme == ours.regularizer.kind == "orthonormal"
        assert ours.modulation.enabled == (network[0] == "plain")
        assert (l2.init.scheme, l2.regularizer.kind) == ("he", "l2")
        assert l2.regularizer.coeff == 1e-4
        assert not l2.modulation.enabled


def test_the_arms_differ_in_nothing_else():
    fields = [config.to_dict() for config in configs().values()]
    differing = {name for name in fields[0] if len({str(f[name]) for f in fields}) > 1}
    assert differing == {
        "model.family",
        "model.depth",
        "init.scheme",
        "regularizer.kind",
        "regularizer.coeff",
        "modulation.enabled",
    }


def test_the_schedule_is_the_papers():
    config = configs()["plain-44"]
    per_epoch = 45_000 // config.data.batch_size
    updates = per_epoch * config.training.num_epochs
    assert abs(updates - 64_000) < 200
    schedule = config.optimizer.schedule
    rates = {
        at: config.optimizer.lr * schedule.factor(at / 64_000)
        for at in (0, 31_900, 32_100, 47_900, 48_100, 63_999)
    }
    assert list(rates.values()) == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3])
    assert (config.data.batch_size, config.optimizer.momentum) == (128, 0.9)
    assert not config.data.augment


def test_the_claims_are_what_the_paper_reports():
    ablation = read_ablation(str(FILE))
    assert ablation.claims == (
        Claim(better="full", than="plain-44 l2"),
        Claim(better="plain-110", than="plain-110 l2"),
        Claim(better="resnet-110", than="resnet-110 l2"),
        Claim(better="full", than="resnet-44 l2", same=True),
    )
    assert len(ablation.seeds) == 5
    assert ablation.looks == (5,)
    assert ablation.resources.gpus == 1


def test_the_plan_times_every_network(folder, monkeypatch, capsys):
    trust_here(monkeypatch)
    options = ["--set=data.root=files", *SMALL[2:], "--plan"]
    assert main([str(FILE), *options]) == 0
    text = capsys.readouterr().out
    assert "compares   val_error, 182 epochs a cell" in text
    assert "cells      40: 8 arms x 5 seeds" in text
    for network in ("plain-44", "plain-110", "residual-44", "residual-110"):
        assert f" s for {network}" in text
    assert not (folder / "studies").exists()


@pytest.mark.ray
@pytest.mark.soak
def test_two_epochs_of_every_arm_end_with_a_report(folder, monkeypatch):
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(TRUSTING)
    before = os.environ.get("PYTHONPATH")
    paths = [str(site), *([before] if before else [])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    options = [str(FILE), "--set=data.root=files", *SMALL]
    process = crashes.command(folder, *options, module="orthotune.ablate")
    _, err = ended(process)
    assert process.returncode == 0, err
    study = folder / "studies" / "paper_cifar10"
    rows = list(csv.DictReader((study / "cells.csv").read_text().splitlines()))
    names = [arm.name for arm in read_ablation(str(FILE)).arms]
    assert [row["arm"] for row in rows] == names
    assert {(row["seed"], row["epochs"]) for row in rows} == {("51", "2")}
    report = (study / "report.md").read_text()
    assert all(f"| {name} " in report for name in names)
    for line in (study / "trials.jsonl").read_text().splitlines():
        assert 0 <= json.loads(line)["history"]["2"]["test_error"] <= 1
