"""The README's commands and snippets run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from orthotune.commands import ablate, pack, search, train
from orthotune.commands.common import parse_settings
from orthotune.design.ablation_file import read_ablation
from orthotune.study.study_file import read_study
from tests.crashes import HANGING_S, TOO_SLOW

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [
    line.partition(" #")[0].strip()
    for block in blocks("bash")
    for line in block.splitlines()
]
SEARCHES = [command for command in COMMANDS if "orthotune.search" in command]
ABLATIONS = [command for command in COMMANDS if "orthotune.ablate" in command]
TRAININGS = [command for command in COMMANDS if "orthotune.train" in command]
MAKES = [command for command in COMMANDS if command.startswith("make ")]
SNIPPETS = blocks("python")


def test_every_command_is_of_a_kind_tested_here():
    assert sorted(SEARCHES + ABLATIONS + TRAININGS + MAKES) == sorted(COMMANDS)
    assert MAKES[:2] == ["make search", "make test"]
    assert len(SEARCHES) >= 4
    assert len(TRAININGS) >= 3


@pytest.mark.parametrize("command", MAKES)
def test_make_knows_the_target(command):
    done = subprocess.run(
        ["make", "--dry-run", *shlex.split(command)[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", SEARCHES)
def test_search_commands_name_valid_files_and_keys(command):
    arguments = shlex.split(command)
    assert arguments[:3] == ["python", "-m", "orthotune.search"]
    options = search.COMMAND.parser("here").parse_args(arguments[3:])
    read_study(str(ROOT / options.file), parse_settings(options.set))


@pytest.mark.parametrize("command", ABLATIONS)
def test_ablation_commands_name_valid_files_and_keys(command):
    arguments = shlex.split(command)
    assert arguments[:3] == ["python", "-m", "orthotune.ablate"]
    options = ablate.COMMAND.parser("here").parse_args(arguments[3:])
    read_ablation(str(ROOT / options.file), parse_settings(options.set))


@pytest.mark.slow
@pytest.mark.parametrize("command", TRAININGS)
def test_training_commands_run(command, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = shlex.split(command)
    assert arguments[:3] == ["python", "-m", "orthotune.train"]
    assert train.main(arguments[3:]) == 0
    assert "val_error" in capsys.readouterr().out


def test_the_yaml_examples_are_valid(tmp_path):
    study, ablation, further = blocks("yaml")
    path = tmp_path / "example.yaml"
    path.write_text(study)
    assert len(read_study(str(path)).space.parameters) == 3
    path.write_text(ablation)
    assert len(read_ablation(str(path)).arms) == 3
    path.write_text(ablation + further)
    whole = read_ablation(str(path))
    assert whole.retune is not None
    assert (whole.retune.num_trials, whole.register) == (12, "plain44")


@pytest.mark.ray
@pytest.mark.parametrize("snippet", SNIPPETS, ids=["tune", "pieces"])
def test_python_snippets_run(snippet, tmp_path):
    path = tmp_path / "snippet.py"
    path.write_text(snippet)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(path)],
            cwd=tmp_path,
            env={**os.environ, "RAY_ADDRESS": "local"},  # whatever cluster ran before
            capture_output=True,
            text=True,
            timeout=HANGING_S,
            check=False,
        )
        if TOO_SLOW not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-2000:]


CLUSTER = (ROOT / "cluster" / "README.md").read_text()


@pytest.mark.parametrize(
    "line", [x for x in CLUSTER.splitlines() if "-m orthotune." in x and x[0] != "|"]
)
def test_commands_of_the_cluster_page_name_options_and_files_that_exist(line):
    words = shlex.split(line, comments=True)
    module = next(word for word in words if word.startswith("orthotune."))
    rest = words[words.index(module) + 1 :]
    parsers = {"orthotune.search": search, "orthotune.pack": pack}
    options = parsers[module].COMMAND.parser(module).parse_args(rest)
    folder = ROOT / "search_spaces" if "submit" in words else ROOT
    assert (folder / options.file).exists()
    if module == "orthotune.search":  # nobody's machine has them where ours has
        assert "data.root=/data" in options.set
