"""What `import orthotune` gives, and that nothing is loaded before it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import orthotune
from orthotune.api import _call
from tests.small import FIELDS, TIMINGS
from tests.studies import TINY

HEAVY = {"torch", "numpy", "ray", "optuna", "mlflow", "pandas", "sklearn", "pyarrow"}
LEVELS = {"depth": {"8": {"model.depth": 8}, "14": {"model.depth": 14}}}
PACKAGE = Path(orthotune.__file__).parent


def in_fresh_process(code, cwd=None):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_and_dir_load_nothing():
    code = (
        "import sys; before = set(sys.modules); import orthotune; "
        "names = dir(orthotune); assert set(orthotune.__all__) <= set(names), names; "
        "new = {m for m in set(sys.modules) - before if 'orthotune' in m}; "
        f"print(sorted({HEAVY} & set(sys.modules)), sorted(new))"
    )
    assert in_fresh_process(code) == "[] ['orthotune']"


def test_a_configuration_needs_nothing_heavy():
    code = (
        "import sys, orthotune; orthotune.TrialConfig(); orthotune.search; "
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    assert in_fresh_process(code) == "[]"


def test_every_public_name_is_there_and_public():
    for name in orthotune.__all__:
        assert getattr(orthotune, name) is not None
    assert callable(orthotune.search)
    assert orthotune.search.__module__ == "orthotune.api"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        orthotune.serach  # noqa: B018


def test_type_checkers_see_the_names_that_are_loaded_late():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    seen = {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == orthotune._HOMES
    assert set(orthotune.__all__) == {*seen, "__version__"}


@pytest.mark.parametrize("name", ["search", "ablate", "train"])
def test_no_module_takes_the_place_of_a_function(name):
    code = (
        "import orthotune, importlib\n"
        f"try: importlib.import_module('orthotune.{name}')\n"
        "except ImportError as err: print(err)\n"
        f"assert callable(orthotune.{name})\n"
    )
    said = in_fresh_process(code)
    assert said.startswith(f"orthotune.{name} must be called as a function")
    assert said.endswith(f"For its code: orthotune.commands.{name}")


def test_a_dict_is_checked_as_a_file_is_and_named_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"optimizer.lr": {"type": "float", "low": 0.1, "high": 0.01}}
    with pytest.raises(ValueError, match=r"^<dict>: `optimizer\.lr\.high` must be "):
        orthotune.search({"name": "tiny", "space": space})
    with pytest.raises(ValueError, match=r"^<dict>: `name` must be given"):
        orthotune.search({"space": {}})
    with pytest.raises(ValueError, match=r"^<dict>: `full` must hold the ref"):
        orthotune.ablate({"name": "tiny"})
    with pytest.raises(ValueError, match=r"^<dict>: `name` must be given"):
        orthotune.ablate({"full": {}, "factors": LEVELS, "seeds": [1]})
    with pytest.raises(ValueError, match=r"^<dict>: `model\.dept` is not a config"):
        orthotune.train({"model.dept": 8})
    with pytest.raises(ValueError, match=r"^<dict>: must have words as keys, .* got 1"):
        orthotune.search({"fixed": {1: 2}})
    assert list(tmp_path.iterdir()) == []


def test_an_override_that_is_no_key_is_refused():
    with pytest.raises(ValueError, match=r"`search\.num_trails` is not a key\. Did"):
        orthotune.search("modulation", **{"search.num_trails": 4})


def test_training_gives_the_trial_with_the_metrics_of_its_last_epoch():
    once = orthotune.train(FIELDS, **{"training.num_epochs": 2})
    again = orthotune.Trial(once.config)
    again.run_epoch()
    last = again.run_epoch()
    assert once.finished
    assert {n: v for n, v in once.metrics.items() if n not in TIMINGS} == {
        n: v for n, v in last.items() if n not in TIMINGS
    }


def test_a_shipped_configuration_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="must be true or false, but got 3"):
        orthotune.train("plain110", **{"data.augment": 3})


@pytest.mark.ray
@pytest.mark.soak
def test_function_and_command_give_the_same(tmp_path):
    """The function in a thread, as some notebooks have it; the command by its file."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    code = (
        "import threading, torch, orthotune\n"
        "from orthotune.config.yaml_file import read_mapping\n"
        "def run():\n"
        "    content = read_mapping('tiny.yaml').data\n"
        "    name = {'search.max_concurrent': 1, 'name': 'function'}\n"
        "    study = orthotune.search(content, **name)\n"
        "    assert study.outcome.finished and study.outcome.worked\n"
        "    assert study.outcome.tracking_error is None\n"
        "    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)\n"
        "    print(study.best_trial, tuple(study.network()(images).shape))\n"
        "thread = threading.Thread(target=run); thread.start(); thread.join()\n"
    )
    said = in_fresh_process(code, tmp_path)
    words = ["tiny.yaml", "--set=search.max_concurrent=1", "--name=command"]
    done = subprocess.run(
        [sys.executable, "-m", "orthotune.search", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours = orthotune.load_study(tmp_path / "studies" / "function")
    theirs = orthotune.load_study("command", storage=tmp_path / "studies")
    same = [name for name in ours.history.columns if name not in TIMINGS]
    assert ours.history[same].equals(theirs.history[same])
    assert list(ours.trials.status) == list(theirs.trials.status)
    assert ours.best == theirs.best
    assert said == f"{ours.best_trial} (2, 10)"
    assert "orthotune.search({'name': 'tiny'" in ours.report.read_text()


@pytest.mark.parametrize(
    ("file", "overrides", "said"),
    [
        ("tiny.yaml", {}, "python -m orthotune.search tiny.yaml"),
        (
            Path("my space.yaml"),
            {"name": "b", "model.widths": [4, 8, 8]},
            "python -m orthotune.search 'my space.yaml' --name b "
            "--set 'model.widths=[4, 8, 8]'",
        ),
        ({"a": 1}, {"seed": 2}, "orthotune.search({'a': 1}, **{'seed': 2})"),
    ],
)
def test_a_report_says_what_runs_it_again(file, overrides, said):
    assert _call("search", file, (), overrides) == said


def test_what_was_read_cannot_be_overridden(tiny_study):
    with pytest.raises(TypeError, match=r"must not be overridden, .*'longer'"):
        orthotune.search(tiny_study, name="longer")
