"""Somebody's own code is tried before a study begins."""

import pytest

from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError, OrthotuneError, PluginError
from orthotune.training.rehearsal import rehearse
from tests.plugins import NET

SMALL = {"data.name": "synthetic", "data.batch_size": 8, "data.num_train": 16}
HEADS = {
    "network": ("@orthotune.network('mine')\ndef mine(shape):", "model.family"),
    "regularizer": (
        "@orthotune.regularizer('mine')\ndef mine(model):",
        "regularizer.kind",
    ),
    "optimizer": (
        "@orthotune.optimizer('mine')\ndef mine(parameters, lr):",
        "optimizer.kind",
    ),
    "initialization": (
        "@orthotune.initialization('mine')\ndef mine(weight, generator):",
        "init.scheme",
    ),
    "dataset": ("@orthotune.dataset('mine')\ndef mine(place):", "data.name"),
    "schedule": (
        "@orthotune.schedule('mine')\ndef mine(progress):",
        "optimizer.schedule.kind",
    ),
}


def config(**fields):
    return TrialConfig.from_dict(SMALL | {"model.depth": 8} | fields)


def test_what_works_is_trained_and_evaluated(plugin):
    plugin.load(NET)
    rehearse([config(**{"model.family": "my_net", "model.my_net.dropout": 0.5})])


@pytest.mark.parametrize("kind", HEADS)
def test_an_error_of_its_own_is_shown_with_its_line(plugin, kind):
    head, field = HEADS[kind]
    path = plugin.load(f"{head}\n    raise KeyError('gone')\n")
    with pytest.raises(PluginError) as caught:
        rehearse([config(**{field: "mine"})])
    line = path.read_text().splitlines().index("    raise KeyError('gone')") + 1
    assert f'{path.name}", line {line}' in str(caught.value)
    assert str(caught.value).endswith("KeyError: 'gone'")


WRONG = {
    "network": [
        ("return 3", "must name a function that returns an nn.Module"),
        (
            "from torch import nn\n    return nn.ReLU()",
            "must name a network with a con",
        ),
        (
            "from torch import nn\n    return nn.Conv2d(3, 10, 3)",
            r"gives logits of shape \(8, classes\)",
        ),
        (
            "from torch import nn\n    class Two(nn.Linear):\n"
            "        def forward(self, x): return super().forward(x.flatten(1)), 1\n"
            "    return Two(192, 10)",
            "gives logits of shape .* but it gives tuple",
        ),
        (
            "from torch import nn\n"
            "    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5))",
            "must train, but its first batch fails",
        ),
    ],
    "regularizer": [("return 3", "must name a function that returns an object with")],
    "optimizer": [("return None", r"must name a function that returns a torch\.optim")],
    "dataset": [("return []", "must be a `Source`")],
}


@pytest.mark.parametrize(
    ("kind", "body", "sentence"),
    [(kind, *case) for kind, cases in WRONG.items() for case in cases],
)
def test_what_gives_something_else_is_refused(plugin, kind, body, sentence):
    head, field = HEADS[kind]
    plugin.load(f"{head}\n    {body}\n")
    fields = {field: "mine", "modulation.enabled": False}
    with pytest.raises(OrthotuneError, match=sentence):
        rehearse([config(**fields)])


def test_a_network_with_a_shortcut_is_refused_by_the_place_where_paths_meet(plugin):
    plugin.load(
        "from torch import nn\n"
        "class Short(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.one = nn.Conv2d(3, 3, 3, padding=1)\n"
        "        self.two = nn.Conv2d(3, 3, 3, padding=1)\n"
        "        self.head = nn.Linear(3, 10)\n"
        "    def forward(self, x):\n"
        "        x = self.one(x)\n"
        "        return self.head((x + self.two(x)).mean((2, 3)))\n"
        "@orthotune.network('short')\n"
        "def short(shape):\n"
        "    return Short()\n"
    )
    with pytest.raises(ConfigError, match=r"`modulation.enabled` must be false .*meet"):
        rehearse([config(**{"model.family": "short"})])
    rehearse([config(**{"model.family": "short", "modulation.enabled": False})])
