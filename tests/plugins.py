"""Modules of made-up users, written and imported by a test, and forgotten after it."""

import sys
import textwrap

import pytest

from orthotune.config.plugins import import_plugins
from orthotune.config.sources import read_again
from orthotune.schema import registry

HEAD = """
from dataclasses import dataclass
from typing import Literal

import orthotune
from orthotune import setting
"""

NET = '''
@dataclass(frozen=True)
class MyNet:
    """A narrow net."""

    width: int = setting(4, low=1, high=64)
    """Filters of every layer. Default 4."""
    kind: Literal["relu", "tanh"] = "relu"
    rates: tuple[float, ...] = (0.5, 0.25)
    dropout: float = 0.0


@orthotune.network("my_net")
def my_net(settings: MyNet, shape: orthotune.ImageShape):
    from torch import nn

    layers, channels = [], shape.channels
    for _ in range(3):
        layers += [nn.Conv2d(channels, settings.width, 3, padding=1)]
        layers += [nn.BatchNorm2d(settings.width), nn.ReLU()]
        channels = settings.width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(settings.dropout)]
    return nn.Sequential(*layers, *head, nn.Linear(channels, shape.num_classes))
'''


class Writer:
    """Writes modules into a folder that Python imports from."""

    def __init__(self, folder):
        self.folder, self.names = folder, set()

    def write(self, text, name="my_plugin"):
        """Write a module; `text` follows `HEAD`."""
        self.names.add(name)
        path = self.folder / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + textwrap.dedent(text))
        return path

    def load(self, text=NET, name="my_plugin"):
        """Write a module and import it as `--import` does."""
        path = self.write(text, name)
        self.forget()
        import_plugins([name])
        return path

    def forget(self):
        """Forget the modules, as a fresh process would not know them."""
        registry.forget(sorted(self.names))
        for name in self.names:
            sys.modules.pop(name, None)
            read_again(name)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    writer = Writer(folder)
    yield writer
    writer.forget()
