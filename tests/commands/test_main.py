"""The commands behind one name: what is shown, what a shell completes."""

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import orthotune
from orthotune.__main__ import MODULES, main
from orthotune.commands.common import parse_settings
from orthotune.shipped import found_file

ROOT = Path(__file__).parents[2]
EXAMPLES = [example for module in MODULES for example in module.COMMAND.examples]


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"orthotune {orthotune.__version__}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == orthotune.__version__
    assert project["scripts"] == {"orthotune": "orthotune.__main__:main"}


def test_no_command_shows_them_all_and_exits_2(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().err
    for module in MODULES:
        assert f"\n    {module.COMMAND.name} " in shown


@pytest.mark.parametrize("module", MODULES)
def test_help_has_two_examples_of_the_command(module, capsys):
    command = module.COMMAND
    with pytest.raises(SystemExit) as ended:
        main([command.name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: orthotune {command.name} ")
    examples = shown.partition("examples:\n")[2].splitlines()
    assert len(examples) == 2
    assert all(one.startswith(f"  orthotune {command.name}") for one in examples)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_understood(example):
    words = shlex.split(example)
    command = next(m.COMMAND for m in MODULES if m.COMMAND.name == words[1])
    options = command.parser("orthotune").parse_args(words[2:])
    parse_settings(getattr(options, "set", []))
    file = getattr(options, "file", "my_own")
    assert "my_" in file or Path(str(found_file(file))).exists()


def test_what_is_wrong_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["search", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "orthotune: nowhere: must be a readable file, but: No such file or directory.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_shipped_name_is_found_where_there_is_no_such_file(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["search", "depth", "--set", "search.num_trails=1"]) == 2
    assert "`search.num_trails` is not a key" in capsys.readouterr().err
    (tmp_path / "depth").write_text("space: 3\n")  # one's own comes first
    assert main(["search", "depth"]) == 2
    assert capsys.readouterr().err.startswith("orthotune: depth:1: `space` must be")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("orthotune se", {"search"}),
        ("orthotune search modu", {"modulation"}),
        ("orthotune ablate schedule_", {"schedule_adaptive"}),
        ("orthotune train --set model.d", {"model.depth="}),
        ("orthotune fields optimizer.n", {"optimizer.nesterov"}),
        ("orthotune studies sh", {"show"}),
        ("orthotune studies show ti", {"tiny"}),
    ],
)
def test_a_shell_completes(line, expected, tmp_path):
    (tmp_path / "studies" / "tiny").mkdir(parents=True)
    (tmp_path / "studies" / "tiny" / "record.jsonl").touch()
    answer = tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    subprocess.run(
        [sys.executable, "-m", "orthotune"],
        cwd=tmp_path,
        env={**os.environ, **asked},
        check=True,
        capture_output=True,
    )
    assert set(answer.read_text().split("\n")) == expected
