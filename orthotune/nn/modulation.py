r"""Backward error modulation as an exact scaling of gradients after backward.

The paper multiplies the backward error of parametric layer l, on its way down, by
:math:`\rho_l = \sqrt{q_{l+1} / q_l}` wherever the second-order moments :math:`q` of two
consecutive layers mismatch. Note [telescoping]: below layer l, backpropagation is
linear in the error, so a scalar put on one layer's error multiplies every gradient
below it. The modulated gradients are therefore the ordinary ones times products of the
factors,

.. math:: S_l = \prod_{k \ge l} \rho_k ,

:math:`S_l` for the weight of convolution l and :math:`S_{l+1}` for the batch
normalization that follows it (its error has not passed convolution l's output yet).
The modulated moment of layer l is :math:`S_{l+1}^2 q_l` when it arrives, that of layer
l+1 after its own factor is :math:`S_{l+1}^2 q_{l+1}`: their ratio is the ratio of the
*unmodulated* moments, so the mismatch rule is replayed exactly from an ordinary
backward.

This holds for chains. With shortcuts the error of a layer is a sum over paths, which no
scalar per layer reproduces: layers that declare one are refused, and the first backward
pass shows whether the others are a chain in the order given.

Letters: `L` convolutions in forward order; layer `L` is nearest the loss.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


class _Probe(torch.autograd.Function):
    """Identity that carries the error's moment out of backward.

    The moment leaves as the gradient of a dummy scalar: nothing is stored on the side,
    so it traces and compiles.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, output: Tensor, moment: Tensor) -> Tensor:
        ctx.moment_dtype = moment.dtype  # pyright: ignore[reportAttributeAccessIssue]
        return output.view_as(output)

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
        self._scalars = [
            _scalar_like(layer.get_parameter("weight")) for layer in layers
        ]
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


def _scalar_like(weight: Tensor) -> Tensor:
    # At least float32: a moment is a mean of squares, bfloat16 has too few digits.
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return torch.zeros((), dtype=dtype, device=weight.device, requires_grad=True)


def _hook(scalar: Tensor) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    def probe(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return output
        return _Probe.apply(output, scalar)  # pyright: ignore[reportReturnType]

    return probe


def modulation_factors(
    moments: Tensor, threshold: float | Tensor, strength: float | Tensor
) -> Tensor:
    r"""The factor of each layer's backward error, from unmodulated moments.

    .. math::
        \rho_l = \begin{cases}
            (q_{l+1} / q_l)^{\alpha / 2}
                & \text{if } |\log(q_{l+1} / q_l)| > \tau \\
            1 & \text{otherwise}
        \end{cases}

    for l < L, and :math:`\rho_L = 1`. Strength :math:`\alpha = 1` is the paper's
    factor, :math:`\alpha = 0` is no modulation.

    Args:
        moments: Second-order moments :math:`q`, shape `(L,)`, in forward order.
        threshold: :math:`\tau \ge 0`, in units of the natural logarithm.
        strength: :math:`\alpha`, a float or a scalar tensor.

    Returns:
        Tensor of shape `(L,)`, dtype and device of `moments`. A factor is 1 where a
        moment is zero or not finite: no ratio is defined there.

    Example:
        >>> q = torch.tensor([4.0, 1.0, 1.0])
        >>> modulation_factors(q, threshold=0.1, strength=1.0).tolist()
        [0.5, 1.0, 1.0]

    References:
        Xie, Xiong and Pu, CVPR 2017, section 3.3; the threshold's value and the
        exponent are ours, the paper says only "when magnitudes mismatch".
    """
    return torch.exp(_log_factors(moments, threshold, strength))


def gradient_scales(
    moments: Tensor, threshold: float | Tensor, strength: float | Tensor
) -> Tensor:
    r"""What the gradients of every layer are multiplied by, from unmodulated moments.

    .. math:: S_l = \prod_{k = l}^{L} \rho_k , \qquad S_{L+1} = 1

    Args:
        moments: Second-order moments, shape `(L,)`, in forward order.
        threshold: As in `modulation_factors`.
        strength: As in `modulation_factors`.

    Returns:
        Tensor of shape `(L + 1,)`: entry l is for the weight of convolution l, entry
        l + 1 for the batch normalization that follows it.

    Example:
        >>> q = torch.tensor([16.0, 4.0, 1.0])
        >>> gradient_scales(q, threshold=0.0, strength=1.0).tolist()
        [0.25, 0.5, 1.0, 1.0]
    """
    logs = _log_factors(moments, threshold, strength)
    # A sum of logarithms: the product spans 1e-7 at 110 layers, and more in between.
    return torch.exp(torch.cat([_sum_from_above(logs), logs.new_zeros(1)]))


def _log_factors(
    moments: Tensor, threshold: float | Tensor, strength: float | Tensor
) -> Tensor:
    log_ratio = torch.log(moments[1:]) - torch.log(moments[:-1])  # (L - 1,)
    mismatched = torch.isfinite(log_ratio) & (log_ratio.abs() > threshold)
    ours = torch.where(mismatched, log_ratio * (strength / 2), 0.0)
    return torch.cat([ours, moments.new_zeros(1)])  # (L,)


def _sum_from_above(values: Tensor) -> Tensor:
    return values.flip(0).cumsum(0).flip(0)


class _OrderCheck:
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


class ModulationHandle:
    """Backward error modulation attached to what is known to be a chain.

    Args:
        layers: As in `attach`, which also looks whether they are one.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._convolutions = [layer.get_submodule("conv") for layer in layers]
        self._probes = ErrorProbes(self._convolutions)
        self._order: _OrderCheck | None = None
        # Entry l of the scales is for the weight of conv l, entry l + 1 for its bn.
        self._scaled = [
            (parameter, index + offset)
            for index, layer in enumerate(layers)
            for offset, name in enumerate(("conv", "bn"))
            for parameter in layer.get_submodule(name).parameters()
        ]

    @torch.no_grad()
    def scale_gradients(
        self, threshold: float | Tensor, strength: float | Tensor
    ) -> Tensor:
        """Multiply the gradients of the chain by `gradient_scales`; forget the moments.

        Args:
            threshold: As in `modulation_factors`.
            strength: As in `modulation_factors`; 0 leaves every gradient as it is.

        Returns:
            The unmodulated moments of this backward, shape `(L,)`.

        Raises:
            RuntimeError: If there was no backward since the last call.
            ValueError: If the first backward shows that the layers are no chain in the
                order in which they were attached.
        """
        moments = self._probes.moments()
        if self._order is not None:
            self._order.judge()
        scales = gradient_scales(moments, threshold, strength).unbind()
        pairs = [(p.grad, scales[i]) for p, i in self._scaled if p.grad is not None]
        torch._foreach_mul_([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        self._probes.reset()
        return moments

    def remove(self) -> None:
        """Take the probes off; the layers are as they were before."""
        self._probes.remove()
        if self._order is not None:
            self._order.remove()

    def check_order(self) -> None:
        """Have the first backward pass show that the layers are a chain."""
        self._order = _OrderCheck(self._convolutions)


def attach(layers: Sequence[nn.Module]) -> ModulationHandle:
    """Attach backward error modulation to a chain of layers.

    Run forward and backward as always, and call the handle's `scale_gradients` between
    `backward` and the optimizer's step. The handle's `remove()` undoes `attach`.

    Args:
        layers: The chain in forward order: modules with a parametric layer `conv` and
            the normalization `bn` that follows it, such as `PlainCNN.layers`. What
            lies between two of them must not hold parameters.

    Returns:
        The handle. Its `scale_gradients` refuses layers whose first backward has shown
        that they are no chain in this order. In code that torch compiles nothing is to
        be seen of it: run the first one as it is.

    Raises:
        ValueError: If a layer declares a shortcut around it.

    Example:
        >>> from orthotune.nn.networks import PlainCNN
        >>> net = PlainCNN(depth=8, in_channels=1)
        >>> modulation = attach(net.layers)
        >>> net(torch.randn(4, 1, 8, 8)).logsumexp(1).sum().backward()
        >>> moments = modulation.scale_gradients(threshold=0.1, strength=1.0)
        >>> moments.shape
        torch.Size([7])
        >>> modulation.remove()
    """
    for index, layer in enumerate(layers):
        # An identity is often an empty `nn.Sequential`, which is false.
        if getattr(layer, "shortcut", None) not in (None, False):
            raise ValueError(
                "`layers` must have no shortcut around them, but layer "
                f"{index} ({type(layer).__name__}) has one: an error that arrives by "
                "two paths is no multiple of what modulation would make of it. Use a "
                "plain network, or no modulation."
            )
    handle = ModulationHandle(layers)
    handle.check_order()
    return handle
