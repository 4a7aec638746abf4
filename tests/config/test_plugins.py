"""Modules of others: imported, refused in a sentence, sent, imported elsewhere."""

import subprocess
import sys

import pytest

from orthotune.config import plugins as module
from orthotune.config.plugins import import_plugins, shipment, take
from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.errors import ConfigError, PluginError
from orthotune.schema.registry import ingredients
from tests.plugins import HEAD, NET


def test_settings_become_fields_with_checks_defaults_and_identity(plugin):
    plugin.load()
    assert FIELD_RULES["model.my_net.width"].describe() == "an integer in [1, 64]"
    assert FIELD_RULES["model.my_net.kind"].describe() == "one of relu, tanh"
    config = TrialConfig.from_dict(
        {"model.family": "my_net", "model.my_net.width": 8, "model.my_net.rates": [1]}
    )
    values = config.to_dict()
    assert values["model.my_net.rates"] == [1.0]
    assert values["model.my_net.dropout"] == 0.0
    assert TrialConfig.from_dict(values) == config
    read = config.in_effect()
    assert "model.my_net.kind" in read
    assert "model.depth" not in read
    for name, value in (("width", 65), ("kind", "gelu"), ("rates", 0.5), ("depth", 1)):
        with pytest.raises(ConfigError, match=rf"^`model\.my_net\.{name}` "):
            TrialConfig.from_dict({f"model.my_net.{name}": value})


def test_what_is_not_chosen_changes_no_identity(plugin):
    before = TrialConfig().canonical()
    plugin.load()
    assert TrialConfig().canonical() == before
    idle = TrialConfig.from_dict({"model.my_net.width": 8})
    assert idle.canonical() == before


def test_another_source_is_another_identity(plugin):
    plugin.load()
    fields = {"model.family": "my_net"}
    before = TrialConfig.from_dict(fields).canonical()
    plugin.load(NET + "\n# changed\n")
    after = TrialConfig.from_dict(fields).canonical()
    differing = {name for name in before if before[name] != after[name]}
    assert differing == {"model.family source"}


def test_the_source_of_what_a_module_imports_beside_it_counts(plugin):
    helper = plugin.write("WIDTH = 4\n", "my_helper")
    plugin.load(f"import my_helper\n{NET}")
    before = TrialConfig.from_dict({"model.family": "my_net"}).sources()
    helper.write_text("WIDTH = 5\n")
    plugin.forget()
    import_plugins(["my_plugin"])
    assert TrialConfig.from_dict({"model.family": "my_net"}).sources() != before
    assert set(shipment().files) == {"my_plugin.py", "my_helper.py"}


def test_a_file_can_be_given_in_place_of_a_module(plugin, tmp_path):
    path = plugin.write(NET)
    import_plugins([str(path)])
    assert "my_net" in ingredients("network")


def test_a_module_that_is_read_again_replaces_what_it_has_registered(plugin):
    plugin.load()
    plugin.load(NET.replace("setting(4, ", "setting(6, "))
    assert TrialConfig().to_dict()["model.my_net.width"] == 6


def test_every_kind_can_be_registered_and_chosen(plugin):
    plugin.load(
        """
        @orthotune.dataset("mine")
        def mine(place):
            return None

        @orthotune.regularizer("mine")
        def penalty(model):
            return None

        @orthotune.initialization("mine")
        def weights(weight, generator):
            return None

        @orthotune.optimizer("mine")
        def steps(parameters, lr):
            return None

        @dataclass
        class Curve:
            power: float = 2.0

        @orthotune.schedule("mine")
        def curve(settings: Curve, progress):
            return progress**settings.power
        """
    )
    config = TrialConfig.from_dict(
        {
            "data.name": "mine",
            "regularizer.kind": "mine",
            "init.scheme": "mine",
            "optimizer.kind": "mine",
            "optimizer.schedule.kind": "mine",
            "optimizer.schedule.mine.power": 3,
            "optimizer.schedule.warmup": 0,
        }
    )
    assert config.optimizer.schedule.factor(0.5) == 0.125
    assert config.modulation.schedule.factor(0.5) == 1
    assert len(config.sources()) == 5
    assert "optimizer.momentum" not in config.in_effect()


MALFORMED = {
    "no name": ("@orthotune.network()\ndef f(shape): ...", "missing 1 required"),
    "a name with a capital": (
        "@orthotune.network('MyNet')\ndef f(shape): ...",
        "must have a name of lower-case letters",
    ),
    "a name that is no text": (
        "@orthotune.network(3)\ndef f(shape): ...",
        "must have a name of lower-case letters",
    ),
    "an empty name": (
        "@orthotune.network('')\ndef f(shape): ...",
        "must have a name of lower-case letters",
    ),
    "a decorator without brackets": (
        "@orthotune.network\ndef f(shape): ...",
        "must have a name of lower-case letters",
    ),
    "a name of ours": (
        "@orthotune.network('plain')\ndef f(shape): ...",
        "must have a name that is free, but orthotune.builtin.networks",
    ),
    "a name with a meaning": (
        "@orthotune.regularizer('none')\ndef f(model): ...",
        "must have another name: none has a meaning",
    ),
    "a name twice": (
        "@orthotune.network('x')\ndef f(shape): ...\n"
        "@orthotune.network('x')\ndef g(shape): ...",
        "must have a name that is free, but my_plugin",
    ),
    "a class": (
        "@orthotune.network('x')\nclass Net: ...",
        "must stand on a function",
    ),
    "no argument": (
        "@orthotune.network('x')\ndef f(): ...",
        "must stand on a function of (settings, shape)",
    ),
    "too many arguments": (
        "@orthotune.network('x')\ndef f(a, b, c): ...",
        "must stand on a function of (settings, shape)",
    ),
    "keyword arguments": (
        "@orthotune.regularizer('x')\ndef f(*, model): ...",
        "must stand on a function of (settings, model)",
    ),
    "settings without a type": (
        "@orthotune.network('x')\ndef f(settings, shape): ...",
        "`settings` is annotated with nothing",
    ),
    "settings that are no dataclass": (
        "@orthotune.network('x')\ndef f(settings: dict, shape): ...",
        "`settings` is annotated with <class 'dict'>",
    ),
    "settings of another kind's section": (
        "from orthotune.config.sections import DataConfig\n"
        "@orthotune.network('x')\ndef f(settings: DataConfig, shape): ...",
        "but takes that of a dataset",
    ),
    "a field without a default": (
        "@dataclass\nclass S:\n    width: int\n"
        "@orthotune.network('x')\ndef f(settings: S, shape): ...",
        "whose fields all have defaults, but S() says: TypeError",
    ),
    "a field of a strange type": (
        "@dataclass\nclass S:\n    width: dict = None\n"
        "@orthotune.network('x')\ndef f(settings: S, shape): ...",
        "but S.width is <class 'dict'>",
    ),
    "a field of an unknown type": (
        "@dataclass\nclass S:\n    width: 'Nothing' = None\n"
        "@orthotune.network('x')\ndef f(settings: S, shape): ...",
        "but S.width is Nothing",
    ),
    "a default out of its bounds": (
        "@dataclass\nclass S:\n    width: int = setting(0, low=1)\n"
        "@orthotune.network('x')\ndef f(settings: S, shape): ...",
        "must have defaults that hold: `S.width` must be an integer in [1, inf)",
    ),
    "a default of another type": (
        "@dataclass\nclass S:\n    width: int = 'wide'\n"
        "@orthotune.network('x')\ndef f(settings: S, shape): ...",
        "must have defaults that hold: `S.width` must be an integer",
    ),
    "a name that is a field": (
        "@dataclass\nclass S:\n    kind: int = 3\n"
        "@orthotune.optimizer('schedule')\ndef f(settings: S, parameters, lr): ...",
        "but `optimizer.schedule.kind` is one already",
    ),
    "nothing": ("x = 3", "but my_plugin registers nothing"),
    "its own error": ("1 / 0", "ZeroDivisionError: division by zero"),
    "what it imports is missing": (
        "import not_there_at_all",
        "No module named 'not_there_at_all'",
    ),
    "a syntax error": ("def f(:", "SyntaxError"),
    "an end": ("raise SystemExit(3)", "SystemExit: 3"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_module_is_one_sentence(plugin, case):
    text, sentence = MALFORMED[case]
    before = {kind: set(ingredients(kind)) for kind in ("network", "optimizer")}
    with pytest.raises(PluginError) as caught:
        plugin.load(text)
    assert sentence in str(caught.value)
    plugin.forget()
    assert before == {kind: set(ingredients(kind)) for kind in before}


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(PluginError, match="but my_nets is not found"):
        import_plugins(["my_nets"])


def test_a_command_that_cannot_import_ends_with_two_and_creates_nothing(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0")
    command = [sys.executable, "-m", "orthotune.search", "modulation"]
    done = subprocess.run(
        [*command, "--import", "broken"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert 'broken.py", line 1' in done.stderr
    assert "orthotune/config" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"broken.py", "__pycache__"}


def test_a_file_imports_nothing(tmp_path):
    from orthotune.errors import SearchSpaceError
    from orthotune.study.study_file import read_study

    for key in ("import", "imports", "plugins"):
        with pytest.raises(SearchSpaceError, match="is not a key"):
            read_study({key: ["os"], "search": {"num_trials": 2}})


def test_what_is_sent_is_imported_elsewhere_from_a_copy(plugin, tmp_path, monkeypatch):
    path = plugin.load()
    sent, expected = shipment(), TrialConfig.from_dict({"model.family": "my_net"})
    plugin.forget()
    path.write_text("1 / 0")  # what a worker must not see
    monkeypatch.setattr(module, "_TAKEN", [])
    take(sent, tmp_path / "worker")
    here = TrialConfig.from_dict({"model.family": "my_net"})
    assert here.canonical() == expected.canonical()
    assert str(tmp_path / "worker") in sys.modules["my_plugin"].__file__
    take(sent, tmp_path / "not written")
    assert not (tmp_path / "not written").exists()
    sys.path.remove(sys.path[0])


def test_a_worker_that_knows_an_earlier_version_takes_the_new_one(
    plugin, tmp_path, monkeypatch
):
    plugin.load(NET.replace("setting(4, ", "setting(6, "))
    sent = shipment()
    plugin.load()
    monkeypatch.setattr(module, "_TAKEN", [])
    take(sent, tmp_path)
    assert TrialConfig().to_dict()["model.my_net.width"] == 6
    sys.path.remove(sys.path[0])


def test_what_is_registered_in_a_script_cannot_be_sent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        HEAD + NET + "\nfrom orthotune.config.plugins import shipment\nshipment()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path
    )
    assert "my_net stands in the script or notebook itself" in done.stderr


def test_an_installed_plug_in_is_found_and_a_broken_one_is_left_out(tmp_path):
    for name, text in (("good", HEAD + NET), ("broken", "1 / 0")):
        (tmp_path / f"{name}_plugin.py").write_text(text)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[orthotune.plugins]\n{name} = {name}_plugin\n"
        )
    code = (
        "from orthotune.config.trial import FIELD_RULES\n"
        "print('model.my_net.width' in FIELD_RULES)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{':'.join(filter(None, sys.path))}"},
    )
    assert done.stdout == "True\n"
    assert "the installed plug-in broken (broken_plugin) cannot be loaded" in (
        done.stderr
    )
