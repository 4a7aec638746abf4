r"""Backward error modulation as an exact scaling of gradients after backward.

The paper multiplies the backward error of parametric layer l, on its way down, by
:math:`\rho_l = \sqrt{q_{l+1} / q_l}` wherever the second-order moments :math:`q` of two
consecutive layers mismatch. Note [telescoping]: below layer l, backpropagation is
linear in the error, so a scalar put on one layer's error multiplies every gradient
below it. The modulated gradients are therefore the ordinary ones times products of the
factors,

.. math:: S_l = \prod_{k \ge l} \rho_k ,

:math:`S_l` for the weight of layer l and :math:`S_{l+1}` for the batch
normalization that follows it (its error has not passed convolution l's output yet).
The modulated moment of layer l is :math:`S_{l+1}^2 q_l` when it arrives, that of layer
l+1 after its own factor is :math:`S_{l+1}^2 q_{l+1}`: their ratio is the ratio of the
*unmodulated* moments, so the mismatch rule is replayed exactly from an ordinary
backward.

This holds for chains (`orthotune.nn.chain` finds them). With shortcuts the error of a
layer is a sum over paths, which no scalar per layer reproduces.

Letters: `L` parametric layers in forward order; layer `L` is nearest the loss.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from orthotune.nn.chain import Chain, chain_of, chains_within
from orthotune.nn.probes import ErrorProbes, OrderCheck


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


class ModulationHandle:
    """Backward error modulation attached to chains that are known to be some.

    Args:
        chains: Chains without a layer in common, as `chain_of` gives one.

    Attributes:
        chains: Names of the layers of each chain, in forward order.
    """

    def __init__(self, chains: Sequence[Chain]) -> None:
        self.chains = tuple(tuple(chain.layers) for chain in chains)
        self._layers = [list(chain.layers.values()) for chain in chains]
        self._probes = ErrorProbes([layer for part in self._layers for layer in part])
        self._orders: list[OrderCheck] = []
        self._lengths = [len(part) for part in self._layers]
        starts = [sum(self._lengths[:index]) for index in range(len(chains))]
        self._scaled = [
            (parameter, start + position)
            for start, chain in zip(starts, chains, strict=True)
            for parameter, position in chain.scaled
        ]

    @torch.no_grad()
    def scale_gradients(
        self, threshold: float | Tensor, strength: float | Tensor
    ) -> Tensor:
        """Multiply the gradients of each chain by its `gradient_scales`.

        The moments are forgotten then.

        Args:
            threshold: As in `modulation_factors`.
            strength: As in `modulation_factors`; 0 leaves every gradient as it is.

        Returns:
            The unmodulated moments of this backward, shape `(L,)`, of the layers in
            the order of `chains`.

        Raises:
            RuntimeError: If there was no backward since the last call.
            ValueError: If the first backward shows that the layers are no chain in the
                order in which they were attached.
        """
        moments = self._probes.moments()
        for order in self._orders:
            order.judge()
        scales = [
            scale
            for chain in moments.split(self._lengths)
            for scale in gradient_scales(chain, threshold, strength).unbind()[:-1]
        ]
        pairs = [(p.grad, scales[i]) for p, i in self._scaled if p.grad is not None]
        if pairs:
            gradients, factors = zip(*pairs, strict=True)
            torch._foreach_mul_(gradients, factors)
        self._probes.reset()
        return moments

    def remove(self) -> None:
        """Take the probes off; the layers are as they were before."""
        self._probes.remove()
        for order in self._orders:
            order.remove()

    def forget(self) -> None:
        """Forget the moments of a backward that no `scale_gradients` followed."""
        self._probes.reset()

    def check_order(self) -> None:
        """Have the first backward pass show that the layers are chains."""
        self._orders = [OrderCheck(layers) for layers in self._layers]


def attach(
    model: nn.Module | Sequence[nn.Module],
    example: Tensor | None = None,
    *,
    allow_branches: bool = False,
) -> ModulationHandle:
    """Attach backward error modulation to a network, or to the layers of one.

    Run forward and backward as always, and call the handle's `scale_gradients` between
    `backward` and the optimizer's step. The handle's `remove()` undoes `attach`.

    Args:
        model: A network, or a part of one that a module is (`vgg.features`), or layers
            in forward order, as a list. It must be a chain of parametric layers
            (convolutions of any rank and linear layers, whatever they are called), with
            anything between them: normalization, activations, pooling, other modules
            with parameters. Of a module the last layer has no part if it is linear: its
            error is the loss's own. Of a list all layers have one, and what lies
            between two of its modules must not hold parameters.
        example: An input for a `model` that cannot be traced, because its code branches
            on sizes or values. It runs once, and what runs then counts.
        allow_branches: Where paths meet, as at a shortcut, modulate the chains between
            such points instead of refusing: the handle's `chains` says which layers
            those are. The factors of a chain act on the layers in it and on what
            has parameters between two of them. What leaves its first layer on the way
            down is not modulated, so all other gradients are as they were.

    Returns:
        The handle. Its `scale_gradients` refuses layers whose first backward has shown
        that they are no chain in this order. In code that torch compiles nothing is to
        be seen of it: run the first one as it is.

    Raises:
        ValueError: If the model is no chain, or has none; if a parameter is used where
            errors are modulated differently, as that of a layer that runs twice; if
            the model cannot be traced; if a layer of a list declares a shortcut.

    Example:
        >>> net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Conv1d(4, 4, 3))
        >>> modulation = attach(net)
        >>> modulation.chains
        (('0', '2'),)
        >>> net(torch.randn(4, 1, 8)).logsumexp(1).sum().backward()
        >>> moments = modulation.scale_gradients(threshold=0.1, strength=1.0)
        >>> moments.shape
        torch.Size([2])
        >>> modulation.remove()
    """
    traced = isinstance(model, nn.Module) and not isinstance(model, nn.ModuleList)
    if isinstance(model, Iterable) and not (traced and allow_branches):
        _refuse_shortcuts(model)
    find = chains_within if allow_branches else lambda *args: (chain_of(*args),)
    handle = ModulationHandle(find(model, example))
    handle.check_order()
    return handle


def _refuse_shortcuts(layers: Iterable[nn.Module]) -> None:
    """What leads around layers from outside is not to be seen in them."""
    for index, layer in enumerate(layers):
        # An identity is often an empty `nn.Sequential`, which is false.
        if getattr(layer, "shortcut", None) not in (None, False):
            raise ValueError(
                "`layers` must have no shortcut around them, but layer "
                f"{index} ({type(layer).__name__}) has one: an error that arrives by "
                "two paths is no multiple of what modulation would make of it. Use a "
                "plain network, or no modulation."
            )
