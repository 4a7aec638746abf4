"""Parameters in Optuna's words."""

import json
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)


def distribution(parameter: Parameter) -> BaseDistribution:
    """The values of a parameter, as Optuna is told them."""
    match parameter:
        case FloatParameter(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case IntParameter(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step)
        case CategoricalParameter(choices=choices):
            return CategoricalDistribution([_label(choice) for choice in choices])


def told(parameter: Parameter, value: Any) -> Any:  # noqa: ANN401 - of any kind
    """A value of a parameter, as Optuna is told it."""
    if not isinstance(parameter, CategoricalParameter):
        return value
    # As the file has it: 0 in a file is 0.0 in a configuration.
    return _label(parameter.choices[parameter.choices.index(value)])


def meant(parameter: Parameter, value: Any) -> Any:  # noqa: ANN401 - of any kind
    """The value of a parameter that Optuna gives."""
    if not isinstance(parameter, CategoricalParameter):
        return value
    return {_label(choice): choice for choice in parameter.choices}[value]


def _label(choice: object) -> str:
    # Optuna stores scalars only: a list of widths goes by its text.
    return json.dumps(choice)
