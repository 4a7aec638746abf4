r"""Curves over training progress, one value type for every quantity that moves.

A schedule maps training progress :math:`t \in [0, 1]` to a factor in [0, 1]; the
quantity is its base value times the factor. Learning rate, penalty coefficient and
modulation strength all use it. The loop evaluates it in the middle of every update
(update k of K at :math:`t = (k + 1/2) / K`), so that a warm-up from zero wastes no
update.
"""

from dataclasses import dataclass
from typing import Any

from orthotune.errors import ConfigError
from orthotune.schema.fields import check_fields, own_settings
from orthotune.schema.registry import Names, ingredient
from orthotune.schema.rules import Rule, setting, show

_FRACTION = Rule(kind=float, low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    r"""A curve :math:`s(t) = \mathrm{ramp}(t) \cdot \mathrm{shape}(t)`.

    With w = `warmup`, f = `final`, and :math:`u = (t - w) / (1 - w)` the progress after
    warm-up:

    ========= ============================================ ==========================
    kind      shape                                        fields read
    ========= ============================================ ==========================
    constant  1                                            warmup
    linear    :math:`1 - (1 - f) u`                        warmup, final
    cosine    :math:`f + (1 - f)(1 + \cos \pi u) / 2`      warmup, final
    multistep :math:`\gamma^m`, m milestones passed        warmup, milestones, gamma
    window    1 for start <= t < stop, else 0              warmup, start, stop
    ========= ============================================ ==========================

    The ramp rises linearly from 0 to 1 over `warmup`, counted from 0, or from `start`
    for a window.

    Raises:
        ConfigError: If a field is out of range, milestones do not increase, or a window
            stops before it starts.

    Example:
        >>> Schedule(kind="cosine", warmup=0.1).factor(0.05)
        0.5
        >>> Schedule(kind="window", start=0.25, stop=0.75).factor(0.8)
        0.0
    """

    kind: str = setting("constant", Rule(kind=str, choices=Names("schedule")))
    """The shape of the curve. Default constant."""

    warmup: float = setting(0.0, Rule(kind=float, low=0, below=1))
    """Fraction of training over which the factor rises linearly from 0. In [0, 1),
    default 0: no warm-up."""

    final: float = setting(0.0, _FRACTION)
    """Factor at the end of training, for linear and cosine. In [0, 1], default 0."""

    milestones: tuple[float, ...] = setting(
        (0.5, 0.75), Rule(kind=float, above=0, below=1, is_list=True)
    )
    """Fractions of training at which a multistep factor is multiplied by `gamma`;
    increasing, each in (0, 1). Default 0.5 and 0.75: 32k and 48k of the paper's 64k
    iterations."""

    gamma: float = setting(0.1, Rule(kind=float, above=0, high=1))
    """Multiplier at each milestone. In (0, 1], default 0.1 (the paper's)."""

    start: float = setting(0.0, _FRACTION)
    """Fraction of training at which a window opens. In [0, 1], default 0."""

    stop: float = setting(1.0, _FRACTION)
    """Fraction of training at which a window closes. In [0, 1], default 1."""

    own: tuple[Any, ...] = own_settings("schedule")

    def __post_init__(self) -> None:
        check_fields(self)
        milestones = list(self.milestones)
        if milestones != sorted(set(milestones)):
            raise ConfigError(
                "milestones", f"must increase, but got {show(milestones)}. Sort them."
            )
        if self.kind == "window" and self.stop <= self.start:
            raise ConfigError(
                "stop",
                f"must be greater than `start` = {self.start:g}, but got "
                f"{self.stop:g}. Such a window never opens.",
            )

    def factor(self, progress: float) -> float:
        """The curve at training progress `progress` in [0, 1]."""
        shape = ingredient("schedule", self.kind).of(self, progress)
        return self._ramp(progress) * shape

    def _ramp(self, progress: float) -> float:
        opened = self.start if self.kind == "window" else 0.0
        if self.warmup == 0:
            return 1.0
        return min(1.0, max(0.0, (progress - opened) / self.warmup))
