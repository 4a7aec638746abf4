"""Whether a configuration from elsewhere lies in a space."""

from collections.abc import Mapping
from typing import Any

from orthotune.space.parameters import CategoricalParameter, IntParameter, Parameter
from orthotune.space.search_space import SearchSpace
from orthotune.text import cell

ON_STEP = 1e-8
"""How far from a whole number of steps a value may be, as Optuna has it."""


class OutsideError(ValueError):
    """A configuration does not lie in a space; its text says by what."""


def placed(space: SearchSpace, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a space's parameters in a configuration.

    Args:
        space: The space.
        fields: Every field of the configuration.

    Returns:
        The values by field; of parameters that do not exist there none.

    Raises:
        OutsideError: If one is not offered here, or a constraint is not met.

    Example:
        >>> from orthotune.space.parameters import FloatParameter
        >>> rate = FloatParameter(name="lr", low=0.001, high=0.1, log=True)
        >>> placed(SearchSpace(parameters=(rate,)), {"lr": 0.01, "momentum": 0.9})
        {'lr': 0.01}
        >>> placed(SearchSpace(parameters=(rate,)), {"lr": 0.5})
        Traceback (most recent call last):
        orthotune.space.placing.OutsideError: `lr` = 0.5 is outside: number in \
[0.001, 0.1], logarithmic
    """
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, values):
            values |= parameter.assigned(_value(parameter, fields))
    known = {**space.fixed, **values}
    for constraint in space.constraints:
        if not constraint.holds(known):
            raise OutsideError(f"does not meet {constraint.text}")
    return values


def _value(parameter: Parameter, fields: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """A parameter's value in a configuration, as the parameter itself has it."""
    value = parameter.value_in(fields)
    if isinstance(parameter, CategoricalParameter):
        if value in parameter.choices:
            return parameter.choices[parameter.choices.index(value)]
    elif isinstance(value, int | float) and parameter.low <= value <= parameter.high:
        steps = 0.0 if not parameter.step else (value - parameter.low) / parameter.step
        if parameter.step is None or abs(steps - round(steps)) < ON_STEP:
            return int(value) if isinstance(parameter, IntParameter) else float(value)
    raise OutsideError(
        f"`{parameter.name}` = {cell(value)} is outside: {parameter.describe()}"
    )
