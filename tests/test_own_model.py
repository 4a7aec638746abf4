"""What `docs/how-to/own-model.md` says of networks of torchvision.

`python -m tests.test_own_model` writes the table anew.
"""

import re
from collections import Counter

import pytest
import torch
import torchvision

from orthotune.nn.chain import chains_within
from orthotune.nn.modulation import attach
from orthotune.nn.orthonormality import (
    OrthonormalityRegularizer,
    num_groups,
    parametric_layers,
)
from orthotune.text import counted, markdown_table
from tests.manual import ROOT

PAGE = ROOT / "docs" / "how-to" / "own-model.md"
TABLE = re.compile(r"(?<=<!-- begin: torchvision -->\n).*(?=<!-- end -->)", re.DOTALL)
NAMES = {
    "VGG-16-BN": "vgg16_bn",
    "ResNet-18": "resnet18",
    "MobileNetV2": "mobilenet_v2",
    "ConvNeXt-tiny": "convnext_tiny",
    "ViT-B/16": "vit_b_16",
}


def network(name):
    """One without numbers in it: nothing is computed."""
    with torch.device("meta"):
        return getattr(torchvision.models, NAMES[name])()


def said_of_modulation(net):
    try:
        handle = attach(net)
    except ValueError as err:
        return f"refused: {str(err).partition(', but ')[2].partition(': ')[0]}"
    (chain,) = handle.chains
    return f"{counted(len(chain), 'layer')}, `{chain[0]}` to `{chain[-1]}`"


def said_of_chains(net):
    chains = [list(chain.layers) for chain in chains_within(net)]
    if len(chains) == 1:
        return "the same"
    lengths = sorted(Counter(map(len, chains)).items(), reverse=True)
    parts = [f"{counted(number, 'chain')} of {length}" for length, number in lengths]
    first = min(chains, key=len)
    return f"{', '.join(parts)}: `{first[0]}` to `{first[-1]}`, ..."


def said_of_regularizer(net):
    layers = parametric_layers(net).values()
    grouped = sum(num_groups(layer) > 1 for layer in layers)
    acted_on = {id(layer.weight) for layer in layers}
    others = Counter(
        name.rpartition(".")[2]
        for name, parameter in net.named_parameters()
        if parameter.ndim > 1 and id(parameter) not in acted_on
    )
    said = counted(len(acted_on), "weight")
    if grouped:
        said += f", {grouped} of them group by group"
    if others:
        left = ", ".join(f"{number} `{name}`" for name, number in others.items())
        said += f"; not {left}"
    return said


def table():
    rows = [["network", "`attach(net)`", "`allow_branches=True`", "regularizer"]]
    for name in NAMES:
        net = network(name)
        said = said_of_modulation(net), said_of_chains(net), said_of_regularizer(net)
        rows.append([name, *said])
    return f"\n{markdown_table(rows)}\n\n"


def test_the_table_of_networks_is_up_to_date():
    assert TABLE.search(PAGE.read_text())[0] == table(), (
        "python -m tests.test_own_model"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_regularizer_reaches_what_the_table_says(name):
    """Not only what it was meant for: the weights that get a gradient from it."""
    net = network(name)
    OrthonormalityRegularizer(net).add_gradients(1.0)
    reached = [n for n, p in net.named_parameters() if p.grad is not None]
    assert said_of_regularizer(net).startswith(f"{len(reached)} weights")
    assert all(n.endswith("weight") and "in_proj" not in n for n in reached)


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(TABLE.sub(lambda _: table(), page))
