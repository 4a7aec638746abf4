"""Where a value lies on the scale that its parameter is searched on."""

import math
from typing import Any

from orthotune.config.trial import FIELD_RULES
from orthotune.space.parameters import CategoricalParameter, Parameter

EDGE = 0.05
"""How near a bound counts as at it, as a part of the scale."""


def place(parameter: Parameter, value: Any) -> float:  # noqa: ANN401 - of its kind
    """The place of a value between the smallest and the largest, in [0, 1].

    On a logarithmic scale where the parameter has one; choices lie at equal distances
    in their order. What has only one value lies in the middle.

    Args:
        parameter: A parameter.
        value: One of its values.

    Example:
        >>> from orthotune.space.parameters import FloatParameter
        >>> lr = FloatParameter(name="optimizer.lr", low=0.01, high=1, log=True)
        >>> place(lr, 0.1)
        0.5
    """
    if isinstance(parameter, CategoricalParameter):
        low, at, high = 0, parameter.choices.index(value), len(parameter.choices) - 1
    else:
        (low, high), at = parameter.extremes(), value
        if parameter.log:
            low, at, high = math.log(low), math.log(at), math.log(high)
    return (at - low) / (high - low) if high > low else 0.5


def edge(parameter: Parameter, value: Any) -> float | None:  # noqa: ANN401
    """The bound that a value is at, if the parameter could go beyond it.

    At it is what lies within `EDGE` of the scale. A bound that is the field's own (a
    threshold of 0, which is the least there is) cannot be moved.

    Args:
        parameter: A parameter.
        value: One of its values.

    Example:
        >>> from orthotune.space.parameters import FloatParameter
        >>> lr = FloatParameter(name="optimizer.lr", low=0.01, high=1, log=True)
        >>> edge(lr, 0.9), edge(lr, 0.1)
        (1, None)
    """
    if isinstance(parameter, CategoricalParameter) or parameter.size == 1:
        return None
    low, high = parameter.extremes()
    rule, at = FIELD_RULES[parameter.name], place(parameter, value)
    if at <= EDGE and rule.low != low:
        return low
    if at >= 1 - EDGE and rule.high != high:
        return high
    return None
