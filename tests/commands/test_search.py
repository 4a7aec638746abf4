"""The command, up to where it would start anything."""

import os
import subprocess
import sys

import pytest

from orthotune.commands.search import main
from tests.bad_input import BAD, GOOD

HEAVY = {"torch", "numpy", "ray", "mlflow", "optuna", "pyarrow", "sklearn"}
SCRIPT = f"""
import sys
from orthotune.commands.search import main
code = main(sys.argv[1:])
print(code, sorted({HEAVY} & set(sys.modules)))
"""


def search(folder, text, arguments):
    """The command's exit code and what is imported then, as text; and its errors."""
    (folder / "study.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "study.yaml", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused_before_anything_heavy_is_imported(kind, tmp_path):
    out, err = search(tmp_path, *BAD[kind])
    assert out == "2 []\n"
    assert err.startswith("orthotune: ")
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == ["study.yaml"]


def test_a_good_file_is_not_refused(tmp_path):
    out, err = search(tmp_path, GOOD, ("--plan",))
    assert err == ""
    assert out.startswith("study      good (study.yaml)\n")


def test_tensorboard_without_its_package_is_refused_before_anything_starts(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("orthotune.tracking.tensorboard.find_spec", lambda _name: None)
    assert main(["modulation", "--tensorboard"]) == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].endswith("Run: pip install tensorboard")
    assert list(tmp_path.iterdir()) == []
