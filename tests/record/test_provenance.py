"""Where a number comes from, on machines that are not as they should be."""

import shutil
import subprocess
from pathlib import Path

import pytest

from orthotune.record import provenance
from orthotune.record.provenance import DIRTY, origin_texts
from orthotune.tracking.reuse import COMMIT, code_of


def test_an_installation_that_broke_off_has_no_name_and_is_left_out(
    tmp_path, monkeypatch
):
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    packages = origin_texts()["packages.txt"]
    assert "torch==" in packages
    assert "None" not in packages


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A package in a repository of its own, with one commit."""
    package = tmp_path / "repository" / "orthotune"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    who = ("-c", "user.name=me", "-c", "user.email=me@here")
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", package.parent, *words], check=True)
    monkeypatch.setattr(provenance.orthotune, "__file__", str(package / "__init__.py"))
    return package


def test_changes_that_no_commit_has_are_seen(checkout):
    tags = provenance.provenance()
    assert tags[DIRTY] == "false"
    assert len(tags[COMMIT]) == 40
    assert code_of(tags)[0] == f"commit {tags[COMMIT]}"
    (checkout / "new.py").write_text("")
    assert provenance.provenance()[DIRTY] == "true"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("orthotune/ablate.py", "x.yaml"), "python -m orthotune.ablate x.yaml"),
        (("orthotune/search.py", "x.yaml"), "python -m orthotune.search x.yaml"),
        (("orthotune/__main__.py", "search", "x"), "orthotune search x"),
        (("/usr/bin/orthotune", "search", "x"), "orthotune search x"),
        (("mine.py", "--lr=1"), "mine.py --lr=1"),
    ],
)
def test_what_was_typed_is_said(checkout, monkeypatch, words, said):
    monkeypatch.chdir(checkout.parent)
    program = Path(words[0]).resolve() if "/" in words[0] else words[0]
    monkeypatch.setattr(provenance.sys, "argv", [str(program), *words[1:]])
    assert provenance.provenance()["mlflow.source.name"] == said


@pytest.mark.parametrize("command", ["status", "ls-files"])
def test_where_git_does_not_say_it_nobody_knows_the_code(
    checkout, tmp_path, monkeypatch, command
):
    """As with a checkout of another user's, or a disk on which it takes too long."""
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    whole = shutil.which("git")
    git.write_text(f'#!/bin/sh\n[ "$3" = {command} ] && exit 128\nexec {whole} "$@"\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(git.parent), prepend=":")
    tags = provenance.provenance()
    assert tags[DIRTY] == "unknown"
    assert code_of(tags) is None


def test_a_copy_outside_a_checkout_is_known_by_its_version(checkout):
    shutil.rmtree(checkout.parent / ".git")
    tags = provenance.provenance()
    assert DIRTY not in tags
    assert code_of(tags)[0] == f"version {tags['version.orthotune']}"


def test_a_copy_that_is_ignored_in_a_checkout_is_known_by_its_version(checkout):
    """As one that was installed into an environment there."""
    words = ["git", "-C", checkout, "rm", "-q", "-r", "--cached", "."]
    subprocess.run(words, check=True)
    assert DIRTY not in provenance.provenance()
