"""Records that the code of November 2026 has written stay readable, and say the same.

In `tests/records/2026-11`: a search that Ctrl-C ended once, whose grid was exhausted; a
population with a member that copied twice; an ablation that took four of its six cells
from another study. Their hosts have been renamed; nothing else is changed.
"""

import json
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from orthotune.commands import ablate, search
from orthotune.config.trial import TrialConfig
from orthotune.schema.yaml_file import read_mapping

OLD = Path(__file__).parents[1] / "records" / "2026-11"
COMMANDS = {"search": search, "population": search, "ablation": ablate}


@pytest.fixture
def reported(tmp_path, monkeypatch, capsys):
    """What the command prints and writes of an old study that is asked for a report."""
    monkeypatch.chdir(tmp_path)
    # Figures take seconds, and say nothing here.
    monkeypatch.setattr(Figure, "savefig", lambda _, file, **_how: file.write("<svg/>"))

    def report(name):
        study = tmp_path / "studies" / name
        shutil.copytree(OLD / name, study)
        before = (study / "record.jsonl").read_bytes()
        assert COMMANDS[name].main([f"studies/{name}/{name}.yaml", "--report"]) == 0
        assert (study / "record.jsonl").read_bytes() == before
        lines = (study / "trials.jsonl").read_text().splitlines()
        return study, [json.loads(line) for line in lines], capsys.readouterr().out

    return report


def settings(path):
    """The configuration that a file of the report holds."""
    return TrialConfig.from_dict(read_mapping(str(path)).data)


def test_a_search_of_two_sessions(reported):
    study, trials, out = reported("search")
    ends = ["finished", "finished", "stopped", "finished", "stopped", "stopped"]
    assert [trial["status"] for trial in trials] == ends
    assert [len(trial["history"]) for trial in trials] == [4, 4, 1, 4, 1, 1]
    rank, number, value, *_ = out.splitlines()[3].split()
    assert (rank, number, value) == ("1", "1", "0.3933")
    best = settings(study / "best.yaml")
    assert (best.optimizer.lr, best.regularizer.kind) == (0.1, "none")
    assert "6 trials (3 finished, 3 stopped)" in (study / "report.md").read_text()


def test_a_population_and_what_its_members_lived_through(reported):
    study, trials, out = reported("population")
    assert [trial["validates"] for trial in trials] == [None] * 4 + [0, 3, 2]
    rank, number, value, *_ = out.splitlines()[3].split()
    assert (rank, number, value) == ("1", "0", "1.3685")
    history = trials[3]["history"]
    learning_rates = [history[str(epoch)]["hp/optimizer.lr"] for epoch in range(1, 7)]
    first, copied = 0.007950587936564982, 0.2681967644147653
    assert learning_rates == [first] * 2 + [copied] * 2 + [0.6761197088655031] * 2
    # What it ended as is a copy that changed once.
    again = settings(study / "schedules" / "trial-0003.yaml")
    rates = [again.value("lr", epoch) for epoch in range(6)]
    assert rates == [0.5634330907212526] * 4 + [0.6761197088655031] * 2
    validation = TrialConfig.from_dict(trials[5]["fields"])
    assert validation == TrialConfig.from_dict({**again.to_dict(), "seed": 1})


def test_an_ablation_with_cells_of_another_study(reported):
    _, trials, out = reported("ablation")
    assert len(trials) == 6
    assert [trial["reused"] is not None for trial in trials] == [True] * 4 + [False] * 2
    assert trials[0]["reused"] == "earlier, run da5d38baa90549ce939a3894d2d6ff32"
    assert "| full           | 0.8622 | 0.0340 | [0.7776, 0.9468] | 3 |" in out
    assert "effect +0.0100 [-0.0066, +0.0266], corrected p = 0.1217, 3 seeds" in out
