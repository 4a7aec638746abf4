"""A whole study of several metrics, with a warm start, killed at random moments."""

import os
import random
import shutil
import signal
import time

import pytest

from tests.crashes import command, ended, read_trials

EARLIER = """\
name: earlier
search: {num_trials: 3, max_epochs: 2, scheduler: none, searcher: random}
fixed: {model.depth: 8, data.name: synthetic, data.num_train: 64, data.batch_size: 32}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  model.widths: {type: categorical, choices: [[2, 2, 4], [4, 4, 4], [4, 8, 8]]}
"""
FRONT = (
    EARLIER.replace("earlier", "front")
    .replace(
        "num_trials: 3, max_epochs: 2, scheduler: none, searcher: random",
        "num_trials: 24, max_epochs: 2, scheduler: none, searcher: nsga2, "
        "max_concurrent: 1, start_from: [earlier], confirm: {top: 2, seeds: 2}",
    )
    .replace("search:", "metric: [val_error, num_macs]\nsearch:")
)


def place(folder):
    folder.mkdir()
    (folder / "earlier.yaml").write_text(EARLIER)
    (folder / "front.yaml").write_text(FRONT)
    return folder


def run(folder, name):
    out, err = ended(process := command(folder, f"{name}.yaml"))
    assert process.returncode == 0, err
    return out


@pytest.mark.soak
@pytest.mark.ray
def test_a_warm_search_of_several_metrics_killed_again_and_again_is_a_whole_one(
    tmp_path,
):
    whole, broken = place(tmp_path / "whole"), place(tmp_path / "broken")
    run(whole, "earlier")
    shutil.copytree(whole / "studies", broken / "studies")
    out = run(whole, "front")
    assert "The front" in out
    rng, record = random.Random(0), broken / "studies" / "front" / "record.jsonl"
    for kills in range(4):
        process = command(broken, "front.yaml")
        while not record.exists() and process.poll() is None:
            time.sleep(0.02)
        if not kills:  # what it took is in its own record
            shutil.rmtree(broken / "studies" / "earlier")
        reports = record.read_text().count('"event":"epoch"')
        while (
            record.read_text().count('"event":"epoch"') < reports + rng.randrange(4, 16)
            and process.poll() is None
        ):
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    again = run(broken, "front")
    ours, theirs = (
        read_trials(folder / "studies" / "front" / "trials.jsonl")
        for folder in (broken, whole)
    )
    assert ours == theirs
    assert len(ours) == 24 + 4
    files = [
        sorted(path.name for path in (folder / "studies" / "front" / "front").iterdir())
        for folder in (broken, whole)
    ]
    assert files[0] == files[1]
    assert "The front" in again
