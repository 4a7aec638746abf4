r"""Chains of parametric layers in a network: where modulation is exact.

Write :math:`\mathrm{below}(v)` for the parametric layers that are reached from a value
v against the flow of the network without passing another, :math:`\mathrm{above}(v)` for
those reached with it; the output counts as one. Two layers follow each other if each is
all that is above and below the other. Then every path of an error from one to the other
leads through nothing but activations, normalizations and the like, and a scalar on the
upper layer's error multiplies all of the lower one's.

A network is a chain if no value has two layers below it: no two paths meet that come
from different layers. What a hand-written activation or normalization does between two
layers, `x * sigmoid(x)` say, does not matter, nor does a shortcut from the input.

The error that arrives at a parameter is modulated by the layers it has passed: with
:math:`S` of `gradient_scales`, :math:`S_l` for what layer l holds (weight, bias, what
they are computed from) and for anything with parameters whose output leads to layer l
(the normalization, PReLU or recurrent layer in front of it).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from orthotune.nn.graph import read_graph

Layers = nn.Module | Sequence[nn.Module]


@dataclass(frozen=True)
class Chain:
    """Parametric layers that follow each other, and what modulation scales.

    Args:
        layers: The layers by name, in forward order.
        scaled: Parameters, each with the position of the layer whose scale it takes.
            What takes the last layer's is left out: its scale is 1.
    """

    layers: dict[str, nn.Module]
    scaled: tuple[tuple[nn.Parameter, int], ...]


def chain_of(model: Layers, example: Tensor | None = None) -> Chain:
    """The chain of parametric layers that a network is.

    Args:
        model: As in `attach`.
        example: As in `attach`.

    Returns:
        The chain; without its last layer, if that is linear (see `attach`).

    Raises:
        ValueError: If the network is no chain or cannot be traced.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
        >>> list(chain_of(net).layers)
        ['0', '2']
    """
    return _Paths(model, example).whole()


def chains_within(model: Layers, example: Tensor | None = None) -> tuple[Chain, ...]:
    """All chains of two layers or more between the points where paths meet or part.

    Args:
        model: As in `attach`.
        example: As in `attach`.

    Returns:
        The chains, in forward order of their first layers, each as long as it can be.
        A network that is a chain gives what `chain_of` gives.

    Raises:
        ValueError: If there are none, or the network cannot be traced.
    """
    paths = _Paths(model, example)
    if not paths.problem():
        return (paths.whole(),)
    return paths.parts()


class _Paths:
    """The parametric layers above and below everything in a network."""

    def __init__(self, model: Layers, example: Tensor | None) -> None:
        self._model = _network(model)
        self._nodes = read_graph(self._model, example)
        self._output = len(self._nodes) - 1
        self._links()
        names = [node.layer for node in self._nodes if node.layer is not None]
        self._repeated = {name for name, count in Counter(names).items() if count > 1}
        # In a list every layer takes part: it was asked for.
        given = self._model is model
        self._output_layer = self._find_output_layer() if given else None

    def _links(self) -> None:
        """Compute what is below and above every node."""
        nodes = self._nodes
        self._below: list[frozenset[int]] = []
        self._above: list[frozenset[int]] = [frozenset()] * len(nodes)
        self._num_users = [0] * len(nodes)
        for node in nodes:
            below = (
                {i} if nodes[i].layer is not None else self._below[i]
                for i in node.inputs
            )
            self._below.append(frozenset().union(*below))
        for index in reversed(range(len(nodes))):
            ends = nodes[index].layer is not None or index == self._output
            above = frozenset([index]) if ends else self._above[index]
            for i in nodes[index].inputs:
                self._above[i] |= above
                self._num_users[i] += 1

    def _find_output_layer(self) -> int | None:
        """The linear layer that is the last one: no part of a chain."""
        for index in self._below[self._output]:
            if isinstance(self._module(index), nn.Linear) and self._is_last(index):
                return index
        return None

    def _is_last(self, index: int) -> bool:
        return self._above[index] == {self._output}

    def _module(self, index: int) -> nn.Module:
        return self._model.get_submodule(self._layer(index))

    def _layer(self, index: int) -> str:
        return self._nodes[index].layer or ""

    def _said(self, indices: frozenset[int]) -> str:
        first, second = [self._nodes[i].name for i in sorted(indices)][:2]
        return f"{first} and {second}"

    def problem(self) -> str:
        """Why the network is no chain; empty if it is one."""
        for node, below in zip(self._nodes, self._below, strict=True):
            if len(below) > 1:
                return f"in {node.name} the paths from {self._said(below)} meet"
            if node.layer in self._repeated:
                return f"the layer {node.name} runs more than once"
        for node, above in zip(self._nodes, self._above, strict=True):
            if node.parameter is not None and len(above) > 1:
                return (
                    f"errors come to the parameter {node.name} from both "
                    f"{self._said(above)}"
                )
        return ""

    def whole(self) -> Chain:
        """The chain that the network is.

        Raises:
            ValueError: If it is none.
        """
        problem = self.problem()
        if problem:
            raise ValueError(
                f"`model` must be a chain of layers, but {problem}: what arrives there "
                "is no multiple of what modulation would make of it. Allow branches, "
                "for modulation of the chains in between alone, or use none."
            )
        indices = [
            index
            for index, node in enumerate(self._nodes)
            if node.layer is not None and index != self._output_layer
        ]
        if not indices:
            raise ValueError(
                "`model` must have convolutions, or linear layers below its last "
                f"layer, but {type(self._model).__name__} has none. Use no "
                "modulation."
            )
        return self._chain(indices, whole=True)

    def parts(self) -> tuple[Chain, ...]:
        """The chains of two layers or more inside the network.

        Raises:
            ValueError: If there is none.
        """
        upper = {
            below: index
            for index, node in enumerate(self._nodes)
            if node.layer is not None
            for below in self._below[index]
            if self._follow(below, index)
        }
        chains = []
        for first in upper:
            if first in upper.values():
                continue
            indices = [first]
            while indices[-1] in upper:
                indices.append(upper[indices[-1]])
            chains.append(self._chain(indices, whole=False))
        if not chains:
            raise ValueError(
                "`model` must have two layers that follow each other between points "
                f"where paths meet, but {type(self._model).__name__} has none. Use no "
                "modulation."
            )
        return tuple(chains)

    def _follow(self, lower: int, upper: int) -> bool:
        return (
            self._below[upper] == {lower}
            and self._above[lower] == {upper}
            and upper != self._output_layer
            and not {self._layer(lower), self._layer(upper)} & self._repeated
            and lower not in self._shared()
        )

    def _shared(self) -> frozenset[int]:
        """Layers whose scale a parameter would take that also takes another's.

        Such a layer can only be the last of a chain, where its scale is 1.
        """
        return frozenset().union(
            *(
                above
                for node, above, users in zip(
                    self._nodes, self._above, self._num_users, strict=True
                )
                if node.parameter is not None and users > 1 and len(above) > 1
            )
        )

    def _chain(self, indices: list[int], *, whole: bool) -> Chain:
        positions = {frozenset([index]): k for k, index in enumerate(indices[:-1])}
        own = {id(parameter) for parameter in self._module(indices[0]).parameters()}
        scaled = []
        for node, above in zip(self._nodes, self._above, strict=True):
            if node.parameter is None or above not in positions:
                continue
            position = positions[above]
            if whole or position > 0 or id(node.parameter) in own:
                scaled.append((node.parameter, position))
        return Chain(
            layers={self._layer(index): self._module(index) for index in indices},
            scaled=tuple(scaled),
        )


def _network(model: Layers) -> nn.Module:
    """The network itself, or one of the layers of a list in a row."""
    if isinstance(model, nn.Module) and not isinstance(model, nn.ModuleList):
        return model
    for index, layer in enumerate(model):
        if not isinstance(layer, nn.Module):
            raise ValueError(
                "`layers` must be modules in forward order, but layer "
                f"{index} is a {type(layer).__name__}. Give modules, or the network."
            )
    return nn.Sequential(*model)
