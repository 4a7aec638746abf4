"""The commands, files and snippets of the README and of `docs` are what they seem."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import orthotune
from orthotune.__main__ import _parser as orthotune_parser
from orthotune.archive.loaded import LoadedStudy
from orthotune.commands import ablate, pack, search, train
from orthotune.commands.common import overrides_of, parse_settings
from orthotune.config.trial import TrialConfig, check_field
from orthotune.design.ablation_file import read_ablation
from orthotune.shipped import found_file
from orthotune.study.study_file import read_study
from orthotune.training.loop import Trial
from tests.crashes import HANGING_S, TOO_SLOW
from tests.manual import PAGES, ROOT, blocks, commands

README = ROOT / "README.md"
PARSERS = {
    f"orthotune.{module.__name__.rpartition('.')[2]}": module.COMMAND.parser
    for module in (search, ablate, train, pack)
}
COMMANDS = commands()
MAKES = [command for command in COMMANDS if command.startswith("make ")]
OURS = [command for command in COMMANDS if command.startswith("python -m orthotune.")]
TYPED = [command for command in COMMANDS if command.startswith("orthotune ")]
COMPLETION = ['eval "$(register-python-argcomplete orthotune)"']
TRAININGS = [one for one in commands(README) if "orthotune.train" in one]
SNIPPETS = [block for block in blocks("python") if "import orthotune\n" not in block]
OF_THE_FRONT_DOOR = [block for block in blocks("python") if block not in SNIPPETS]


def parsed(words):
    """What a command's own parser makes of it, without `python -m`."""
    return PARSERS[words[0]](words[0]).parse_args(words[1:])


def test_every_command_is_of_a_kind_tested_here():
    assert sorted(MAKES + OURS + TYPED + COMPLETION) == sorted(COMMANDS)
    assert len(OURS) >= 15


def test_the_readme_is_read_in_a_minute_and_begins_with_two_commands():
    assert len(README.read_text().splitlines()) <= 150
    assert commands(README)[:2] == ["make search", "make test"]
    assert len(commands(README)) == 7
    assert len(TRAININGS) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_links_to_is_there(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            path = target.partition("#")[0]
            assert not path or (page.parent / path).exists(), target


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


@pytest.mark.parametrize("command", OURS)
def test_commands_name_options_files_and_keys_that_there_are(command):
    words = shlex.split(command)[2:]
    options = parsed(words)
    if words[0] == "orthotune.search":
        read_study(str(ROOT / options.file), overrides_of(options))
    elif words[0] == "orthotune.ablate":
        read_ablation(str(ROOT / options.file), overrides_of(options))
    elif words[0] == "orthotune.pack":
        assert (ROOT / options.file).exists()
    else:
        for name, value in parse_settings(options.set).items():
            check_field(name, value)
        made_by_a_search = str(options.config).startswith("studies/")
        assert options.config is None or made_by_a_search or (ROOT / options.config)


@pytest.mark.parametrize("command", TYPED)
def test_what_is_typed_as_orthotune_is_understood(command):
    options = orthotune_parser().parse_args(shlex.split(command)[1:])
    if command.startswith(("orthotune search", "orthotune ablate")):
        folder = "search_spaces" if "search" in command else "ablations"
        assert Path(found_file(options.file, folder)).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("command", TRAININGS)
def test_training_commands_of_the_readme_run(command, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert train.main(shlex.split(command)[3:]) == 0
    assert "val_error" in capsys.readouterr().out


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_is_of_one_of_our_files(block, tmp_path):
    path = tmp_path / "example.yaml"
    if block.startswith(("retune:", "blocks:")):  # more keys for the one before it
        page = ROOT / "docs" / "how-to" / "ablation.md"
        path.write_text(blocks("yaml", page)[0] + block)
        ablation = read_ablation(str(path))
        assert ablation.retune is not None or len(ablation.blocks) == 2
        return
    path.write_text(block)
    (tmp_path / "best.yaml").write_text("model.depth: 20\n")
    if "question:" in block:
        assert len(read_ablation(str(path)).arms) == 3
    elif "space:" in block:
        assert read_study(str(path)).space.parameters
    else:
        assert train.read_config(str(path), {}).model.depth == 20


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


@pytest.mark.parametrize("snippet", OF_THE_FRONT_DOOR)
def test_snippets_use_names_that_there_are(snippet):
    """What they do is tested with smaller studies, in test_front_door.py."""
    trial = Trial(TrialConfig.from_dict({"model.depth": 8}))
    owner = {"orthotune": orthotune, "study": LoadedStudy, "trial": trial}
    for node in ast.walk(ast.parse(snippet)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in owner:
                assert hasattr(owner[node.value.id], node.attr), node.attr


CLUSTER = (ROOT / "cluster" / "README.md").read_text()


@pytest.mark.parametrize(
    "line", [x for x in CLUSTER.splitlines() if "-m orthotune." in x and x[0] != "|"]
)
def test_commands_of_the_cluster_page_name_options_and_files_that_exist(line):
    words = shlex.split(line, comments=True)
    module = next(word for word in words if word.startswith("orthotune."))
    options = parsed(words[words.index(module) :])
    folder = ROOT / "search_spaces" if "submit" in words else ROOT
    assert (folder / options.file).exists()
    if module == "orthotune.search":  # nobody's machine has them where ours has
        assert "data.root=/data" in options.set
