"""What is seen of layers in ordinary backward passes: moments of errors, their order.

Letters: `L` layers in forward order; layer `L` is nearest the loss.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from orthotune.nn.graph import hooked, unchanged
from orthotune.nn.orthonormality import parametric_layers


class _Probe(torch.autograd.Function):
    """Identity that carries the error's moment out of backward.

    The moment leaves as the gradient of a dummy scalar: nothing is stored on the side,
    so it traces and compiles.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, output: Tensor, moment: Tensor) -> Tensor:
        ctx.moment_dtype = moment.dtype  # pyright: ignore[reportAttributeAccessIssue]
        # As if changed in place: what follows may be, which torch refuses of a view.
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        (error,) = grad_outputs
        return error, _moment(error, ctx.moment_dtype)  # pyright: ignore[reportAttributeAccessIssue]


def _moment(error: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean of the squared entries of `(B, ...)`, accumulated in `dtype`.

    Image by image: one pass over any memory layout without a temporary of its size, and
    sums short enough for float32.
    """
    entries = tuple(range(1, error.ndim))
    norms = torch.linalg.vector_norm(error, dim=entries, dtype=dtype)  # (B,)
    return torch.dot(norms, norms) / error.numel()


class ErrorProbes:
    """Records the backward-error moment of layers during ordinary backward passes.

    The moment of a layer is the mean of the squared entries of dLoss/d(layer output).
    Outputs and gradients of the model are untouched, to the bit.

    Args:
        layers: The layers to probe, in forward order; each must run once a forward.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> probes = ErrorProbes([layer])
        >>> layer(torch.ones(1, 2)).sum().backward()
        >>> probes.moments().tolist()
        [1.0]
        >>> probes.remove()
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._scalars = [_scalar_for(layer) for layer in layers]
        self._handles = [
            layer.register_forward_hook(_hook(scalar))
            for layer, scalar in zip(layers, self._scalars, strict=True)
        ]

    def moments(self) -> Tensor:
        """The moments since the last `reset`, shape `(L,)`; sums over backward passes.

        Raises:
            RuntimeError: If a probed layer has seen no backward since the last `reset`.
        """
        recorded = [scalar.grad for scalar in self._scalars]
        if any(moment is None for moment in recorded):
            raise RuntimeError(
                "Every probed layer must have seen a backward pass, but some have not. "
                "Call `moments` after `backward`, and probe only layers that run."
            )
        return torch.stack([moment for moment in recorded if moment is not None])

    def reset(self) -> None:
        """Forget the moments, as `zero_grad` forgets gradients."""
        for scalar in self._scalars:
            scalar.grad = None

    def remove(self) -> None:
        """Take the probes off; the layers are as they were before."""
        for handle in self._handles:
            handle.remove()


def _scalar_for(layer: nn.Module) -> Tensor:
    # The first parameter: a weight that is computed is none.
    weight = next(layer.parameters())
    # At least float32: a moment is a mean of squares, bfloat16 has too few digits.
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return torch.zeros((), dtype=dtype, device=weight.device, requires_grad=True)


def _hook(scalar: Tensor) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    def probe(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return output
        return _Probe.apply(output, scalar)  # pyright: ignore[reportReturnType]

    return probe


def probed_layers(
    model: nn.Module, forward: Callable[[], object]
) -> dict[str, nn.Module]:
    """The layers of a network at which the backward error can be measured.

    Args:
        model: Any network. It is left as it was.
        forward: Runs `model` once.

    Returns:
        The parametric layers that run exactly once, by name, in the order they run;
        without the last one to run if it is linear, whose error is the loss's own.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> list(probed_layers(net, lambda: net(torch.ones(1, 4))))
        ['0']
    """
    layers = parametric_layers(model)
    ran: list[str] = []

    def note(name: str) -> Callable[..., None]:
        def run(*_: object) -> None:
            if torch.is_grad_enabled():
                ran.append(name)

        return run

    with hooked(layers, note), unchanged(model), torch.enable_grad():
        forward()
    if ran and isinstance(layers[ran[-1]], nn.Linear):
        ran = [name for name in ran if name != ran[-1]]
    return {name: layers[name] for name, runs in Counter(ran).items() if runs == 1}


class OrderCheck:
    """Records the order in which the errors of layers arrive in the first backward.

    In compiled code nothing is seen.

    Args:
        layers: The probed layers, in forward order.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._expected = list(range(len(layers)))[::-1]
        self._seen: list[int] = []
        self._problem = ""
        self._handles = [
            layer.register_forward_hook(self._hook(index))
            for index, layer in enumerate(layers)
        ]

    def _hook(self, index: int) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def watch(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
            if not torch.compiler.is_compiling() and output.requires_grad:
                output.register_hook(lambda _error: self._seen.append(index))

        return watch

    def judge(self) -> None:
        """Refuse layers that are no chain, as soon as a backward pass has shown it.

        Raises:
            ValueError: If errors did not arrive from the last layer to the first, each
                once a forward pass.
        """
        if self._seen and self._handles:
            self.remove()
            passes = max(1, len(self._seen) // len(self._expected))
            if self._seen != self._expected * passes:
                first = self._seen[: len(self._expected) + 1]
                self._problem = (
                    "`layers` must be a chain in forward order whose layers run once "
                    "each, but in backward their errors arrived in the order "
                    f"{_cut(first)} (expected: {_cut(self._expected)}). Attach them "
                    "in that order, or leave out what runs more than once."
                )
        if self._problem:
            raise ValueError(self._problem)

    def remove(self) -> None:
        """Look no more."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


def _cut(numbers: Sequence[int]) -> str:
    """Numbers of layers as an error shows them."""
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
