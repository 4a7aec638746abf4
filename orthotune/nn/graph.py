"""What a network computes, as the graph along which its backward errors flow.

Two readers. `torch.fx` follows the code without an input, in hundredths of a second; it
sees all classification networks of torchvision, but no code that branches on a size or
a value. With an example input, autograd's own graph of one forward is read: that is
exact, whatever the code. (torch.export branches on sizes too, but takes 1 to 10 s and
still refuses to branch on values.)
"""

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.autograd.graph import Node as Function
from torch.utils._pytree import tree_leaves

from orthotune.nn.orthonormality import PARAMETRIC, parametric_layers


@dataclass(frozen=True)
class Node:
    """A value of the forward pass, or a parameter.

    Args:
        name: What an error calls it.
        inputs: Positions of the values it is computed from and that get its error.
        layer: Name of the parametric layer whose output it is.
        parameter: The parameter that it is.
    """

    name: str
    inputs: tuple[int, ...] = ()
    layer: str | None = None
    parameter: nn.Parameter | None = None


class UntraceableError(ValueError):
    """The code of a model cannot be read without an input."""


def read_graph(model: nn.Module, example: Tensor | None = None) -> list[Node]:
    """The values of a forward pass whose errors are not always zero.

    Args:
        model: Any network. It is left as it was.
        example: An input, on which the model runs once. Without one its code is traced.

    Returns:
        The nodes, each behind its inputs; the last is the output.

    Raises:
        UntraceableError: If the code cannot be traced.
        ValueError: If no output has a gradient.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
        >>> [(node.name, node.inputs) for node in read_graph(net)]
        [('`0.weight`', ()), ('`0`', (0,)), ('`1`', (1,)), ('the output', (2,))]
    """
    nodes = _traced(model) if example is None else _recorded(model, example)
    return _reaching_the_output(nodes)


def _reaching_the_output(nodes: list[Node]) -> list[Node]:
    reached = {len(nodes) - 1}
    for index in reversed(range(len(nodes))):
        if index in reached:
            reached.update(nodes[index].inputs)
    position = {old: new for new, old in enumerate(sorted(reached))}
    return [
        replace(nodes[old], inputs=tuple(position[i] for i in nodes[old].inputs))
        for old in position
    ]


class _Nodes:
    """Nodes by what they stand for, and each parameter as a node of its own."""

    def __init__(self, model: nn.Module) -> None:
        self.all: list[Node] = []
        self._names = {id(p): name for name, p in model.named_parameters()}
        self._positions: dict[Hashable, int] = {}

    def add(
        self,
        key: Hashable,
        name: str,
        inputs: Iterable[Hashable],
        layer: str | None = None,
        parameters: Iterable[nn.Parameter] = (),
    ) -> None:
        """Add what is computed from `inputs`, the keys of others, and `parameters`."""
        positions = [self._positions[i] for i in inputs if i in self._positions]
        positions += [self._parameter(p) for p in parameters]
        self._append(key, Node(name, tuple(dict.fromkeys(positions)), layer))

    def add_parameter(self, key: Hashable, parameter: nn.Parameter) -> None:
        """Let `key` stand for a parameter."""
        self._positions[key] = self._parameter(parameter)

    def _parameter(self, parameter: nn.Parameter) -> int:
        key = id(parameter)
        if key not in self._positions:
            name = self._names.get(key, "a parameter of another module")
            self._append(key, Node(_quoted(name), parameter=parameter))
        return self._positions[key]

    def _append(self, key: Hashable, node: Node) -> None:
        self._positions[key] = len(self.all)
        self.all.append(node)


def _quoted(name: str) -> str:
    """A name as an error shows it."""
    return f"`{name if len(name) <= 50 else f'...{name[-47:]}'}`"


# Read by torch.fx


class _Tracer(fx.Tracer):
    """Steps into a module for the parametric layers inside, and into no other."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, PARAMETRIC) or not parametric_layers(m):
            return True
        return super().is_leaf_module(m, module_qualified_name)


def _traced(model: nn.Module) -> list[Node]:
    attributes = set(vars(model))
    try:
        graph = _Tracer().trace(model, concrete_args=_defaults(model))
        return _from_fx(model, graph)
    except Exception as err:  # whatever the model's code says of what is no tensor
        reason = " ".join(str(err).split())[:90]
        raise UntraceableError(
            "`model` must be code that torch.fx can trace, but "
            f"{type(model).__name__} is not ({type(err).__name__}: {reason}). Give an "
            "`example` input, on which it runs once, or instead of the model a list of "
            "its layers in forward order, such as [net.conv1, net.norm1, net.conv2]."
        ) from err
    finally:
        # Tensors that the code makes are kept on the module by torch.fx.
        for name in set(vars(model)) - attributes:
            delattr(model, name)


def _defaults(model: nn.Module) -> dict[str, Any]:
    """Arguments of forward that have a default: `mask=None` is no tensor then."""
    parameters = inspect.signature(model.forward).parameters.items()
    return {n: p.default for n, p in parameters if p.default is not p.empty}


def _from_fx(model: nn.Module, graph: fx.Graph) -> list[Node]:
    nodes = _Nodes(model)
    for node in graph.nodes:
        if node.op == "get_attr":
            value = functools.reduce(getattr, str(node.target).split("."), model)
            if isinstance(value, nn.Parameter):
                nodes.add_parameter(node, value)
        elif node.op == "call_module":
            module = model.get_submodule(str(node.target))
            layer = str(node.target) if isinstance(module, PARAMETRIC) else None
            nodes.add(
                node,
                _quoted(str(node.target)),
                node.all_input_nodes,
                layer,
                module.parameters(),
            )
        elif node.op == "output":
            nodes.add(node, "the output", node.all_input_nodes)
        elif node.op != "placeholder" and _called(node) not in _WITHOUT_GRADIENT:
            nodes.add(node, _place(node), node.all_input_nodes)
    return nodes.all


def _called(node: fx.Node) -> str:
    """Name of the function, method or attribute that a node asks for."""
    if node.target is getattr:
        return str(node.args[1])
    return str(getattr(node.target, "__name__", node.target))


def _place(node: fx.Node) -> str:
    """An operation, and the module whose code does it."""
    modules = list(node.meta.get("nn_module_stack", {}).values())
    operation = _quoted(node.name)
    return f"{operation} of {_quoted(modules[-1][0])}" if modules else operation


_WITHOUT_GRADIENT = frozenset(
    "argmax argmin bool data detach device dim dtype empty_like eq full_like ge gt "
    "is_floating_point isfinite isinf isnan item le len lt ndim ndimension ne "
    "new_empty new_full new_ones new_tensor new_zeros numel ones_like rand_like "
    "randn_like shape sign size stride tolist type zeros_like".split()
)


# Read from autograd


def _recorded(model: nn.Module, example: Tensor) -> list[Node]:
    outputs: dict[Function, str] = {}  # what made a layer's output -> name of the layer

    def note(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: outputs.update({output.grad_fn: name})

    with hooked(parametric_layers(model), note), unchanged(model), torch.enable_grad():
        leaves = [leaf for leaf in tree_leaves(model(example)) if _has_gradient(leaf)]
    if not leaves:
        raise ValueError(
            f"`model` must give an output with a gradient, but {type(model).__name__} "
            "gives none on `example`. Let its parameters require gradients."
        )
    nodes = _Nodes(model)
    for function in _in_forward_order([leaf.grad_fn for leaf in leaves]):
        leaf = getattr(function, "variable", None)
        if isinstance(leaf, nn.Parameter):
            nodes.add_parameter(function, leaf)
            continue
        layer = outputs.get(function)
        name = _quoted(function.name() if layer is None else layer)
        nodes.add(function, name, _inputs_of(function), layer)
    nodes.add(None, "the output", [leaf.grad_fn for leaf in leaves])
    return nodes.all


def _has_gradient(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.grad_fn is not None


def _inputs_of(function: Function) -> list[Function]:
    return [below for below, _ in function.next_functions if below is not None]


def _in_forward_order(roots: list[Function]) -> list[Function]:
    """All of autograd's functions below `roots`, each behind its inputs."""
    order: dict[Function, None] = {}
    stack = list(roots)
    while stack:
        function = stack[-1]
        missing = [f for f in _inputs_of(function) if f not in order]
        if function in order or not missing:
            order.setdefault(stack.pop())
        else:
            stack += missing
    return list(order)


# Runs of a network that leave no trace


@contextmanager
def hooked(
    layers: dict[str, nn.Module], hook: Callable[[str], Callable[..., None]]
) -> Iterator[None]:
    """Call `hook(name)` after each forward of each layer, for a while."""
    handles = [layer.register_forward_hook(hook(n)) for n, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put the buffers of a model and torch's random state back in the end."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    gpus = {p.device for p in model.parameters() if p.is_cuda}
    with torch.random.fork_rng(list(gpus)):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
