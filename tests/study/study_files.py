"""Study files, written and refused."""

import os
import re

from orthotune.commands.search import main

VALID = """\
name: example
search: {num_trials: 4, max_epochs: 2}
fixed:
  model.depth: 8
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  modulation.enabled: {type: categorical, choices: [true, false]}
  modulation.threshold: {type: float, low: 0, high: 1, when: {modulation.enabled: true}}
"""


def space(entry):
    return f"space:\n  optimizer.lr: {entry}\n"


def write(folder, content):
    path = folder / "study.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def check_malformed(case, tmp_path, monkeypatch, capsys):
    """A case is a content, the line that is wrong, and words of what is said of it."""
    content, line, words = case
    write(tmp_path, content)
    monkeypatch.chdir(tmp_path)
    assert main(["study.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"orthotune: study.yaml:{line}: ")
    assert re.search(words, captured.err), captured.err
    assert os.listdir(tmp_path) == ["study.yaml"]
