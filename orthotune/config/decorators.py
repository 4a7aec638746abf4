"""The decorators that register ingredients, for ours and everybody's.

What a function takes first is a dataclass of settings with defaults; its fields become
fields of a trial under the ingredient's name, such as `model.my_net.width`, with the
checks that their types say, or a `Rule`. A function without settings leaves it out.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from orthotune.config.field_types import rule_of
from orthotune.config.registry import check_name, register
from orthotune.config.rules import RULE, Rule
from orthotune.errors import ConfigError, PluginError

F = TypeVar("F", bound=Callable[..., Any])


def network(name: str, *, reads: Sequence[str] = ()) -> Callable[[F], F]:
    """Register a network, as `model.family`.

    The function takes its settings and an `ImageShape`, and returns an `nn.Module` that
    maps images `(B, C, H, W)` to logits `(B, num_classes)`. It may draw random numbers
    from torch's global generator, which is seeded by the trial.

    Args:
        name: Lower-case letters, digits and `_`.
        reads: Fields of `ModelConfig` that it reads, if it takes that as its settings.

    Raises:
        PluginError: If the function cannot be registered, or the name is taken.

    Example:
        ::

            @dataclass(frozen=True)
            class MyNet:
                width: int = 32

            @orthotune.network("my_net")
            def my_net(settings: MyNet, shape: orthotune.ImageShape) -> nn.Module:
                return nn.Sequential(
                    nn.Conv2d(shape.channels, settings.width, 3), nn.ReLU(),
                    nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                    nn.Linear(settings.width, shape.num_classes),
                )
    """
    return _decorator("network", name, reads)


def dataset(name: str, *, reads: Sequence[str] = ()) -> Callable[[F], F]:
    """Register a data set, as `data.name`.

    The function takes its settings and a `DataPlace`, and returns a `Source`: arrays of
    images and classes, with or without an official test part.

    Args:
        name: As for `network`.
        reads: Fields of `DataConfig` that it reads, if it takes that.

    Raises:
        PluginError: As `network`.
    """
    return _decorator("dataset", name, reads)


def regularizer(name: str, *, reads: Sequence[str] = ()) -> Callable[[F], F]:
    """Register a penalty on the weights, as `regularizer.kind`.

    The function takes its settings and the model, and returns a `Regularizer`, such as
    a `PenaltyRegularizer` of a function that gives the penalty of one weight.

    Args:
        name: As for `network`.
        reads: Fields of `RegularizerConfig` that it reads, if it takes that.

    Raises:
        PluginError: As `network`.
    """
    return _decorator("regularizer", name, reads)


def initialization(name: str, *, reads: Sequence[str] = ()) -> Callable[[F], F]:
    """Register initial weights, as `init.scheme`.

    The function takes its settings, the weight of a convolution or a linear layer,
    which it fills in place, and the `torch.Generator` to draw from.

    Args:
        name: As for `network`.
        reads: Fields of `InitConfig` that it reads, if it takes that.

    Raises:
        PluginError: As `network`.
    """
    return _decorator("initialization", name, reads)


def optimizer(name: str, *, reads: Sequence[str] = ()) -> Callable[[F], F]:
    """Register an optimizer, as `optimizer.kind`.

    The function takes its settings, the parameters (a list, with the network as its
    `model`), and the learning rate as a scalar tensor that changes from update to
    update, and returns a `torch.optim.Optimizer` that reads this tensor.

    Args:
        name: As for `network`.
        reads: Fields of `OptimizerConfig` that it reads, if it takes that.

    Raises:
        PluginError: As `network`.
    """
    return _decorator("optimizer", name, reads)


def schedule(name: str, *, reads: Sequence[str] = ()) -> Callable[[F], F]:
    """Register a curve over training, as the `kind` of any schedule.

    The function takes its settings and the progress of training in [0, 1], and returns
    a factor; the schedule's warm-up is multiplied to it.

    Args:
        name: As for `network`.
        reads: Fields of `Schedule` that it reads beside `warmup`, if it takes that.

    Raises:
        PluginError: As `network`.
    """
    return _decorator("schedule", name, reads)


def _decorator(kind: str, name: str, reads: Sequence[str]) -> Callable[[F], F]:
    check_name(kind, name)

    def decorate(function: F) -> F:
        register(kind, name, function, reads, _check_settings)
        return function

    return decorate


def _check_settings(settings: type, shown: str) -> None:
    """Refuse a dataclass whose fields are no fields of a trial.

    Raises:
        PluginError: With the field's name.
    """
    made = settings()
    for item in dataclasses.fields(settings):
        rule, field = rule_of(item, settings), f"{settings.__name__}.{item.name}"
        if rule is None:
            raise PluginError(
                f"{shown} must take settings that are numbers, booleans, strings or "
                f"lists of numbers, but {field} is {_type(item)}. Make it one of these."
            )
        try:
            rule.check(field, getattr(made, item.name))
        except ConfigError as err:
            raise PluginError(f"{shown} must have defaults that hold: {err}") from err


def _type(item: "dataclasses.Field[Any]") -> str:
    return item.type if isinstance(item.type, str) else repr(item.type)


def setting(default: Any, **allowed: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A field of one's own settings with bounds.

    Args:
        default: What it holds where nothing is said.
        **allowed: Of a `Rule`: `low`, `high`, `above`, `below`, `choices`, `optional`;
            `kind` where the default does not say it.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Settings:
        ...     width: int = setting(32, low=1, high=4096)
        >>> Settings().width
        32
    """
    is_list = isinstance(default, (list, tuple))
    kind = type(default[0]) if is_list and default else type(default)
    rule = Rule(**{"kind": kind, "is_list": is_list, **allowed})
    return dataclasses.field(default=default, metadata={RULE: rule})
