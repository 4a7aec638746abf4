"""Settings that change while a network is trained, as a schedule to be run again."""

from dataclasses import dataclass, replace
from typing import Any

from orthotune.config.sections import COEFF, LR, STRENGTH, THRESHOLD
from orthotune.errors import ConfigError
from orthotune.schema.fields import check_fields
from orthotune.schema.rules import Rule, setting, show

CHANGEABLE = {
    "lr": "optimizer.lr",
    "coeff": "regularizer.coeff",
    "threshold": "modulation.threshold",
    "strength": "modulation.strength",
}
"""The fields that may change during training, by their names in `changes`."""


def _changed(rule: Rule) -> Any:  # noqa: ANN401 - as `setting`
    return setting((), replace(rule, is_list=True))


@dataclass(frozen=True, kw_only=True)
class ChangesConfig:
    """New values of four settings from given epochs on.

    What population-based training has made a trial live through, as a schedule that can
    be run again. Where a list is empty, that setting does not change. The schedules of
    the settings go on as factors of the new values.
    """

    epochs: tuple[int, ...] = setting(
        (), Rule(kind=int, low=1, high=100_000, is_list=True)
    )
    """Epochs finished before each change; increasing. Default none."""

    lr: tuple[float, ...] = _changed(LR)
    """`optimizer.lr` from each change on, a value for each. Default none: unchanged."""

    coeff: tuple[float, ...] = _changed(COEFF)
    """`regularizer.coeff`, likewise. Default none."""

    threshold: tuple[float, ...] = _changed(THRESHOLD)
    """`modulation.threshold`, likewise. Default none."""

    strength: tuple[float, ...] = _changed(STRENGTH)
    """`modulation.strength`, likewise. Default none."""

    def __post_init__(self) -> None:
        check_fields(self)
        epochs = list(self.epochs)
        if epochs != sorted(set(epochs)):
            raise ConfigError(
                "epochs", f"must increase, but got {show(epochs)}. Sort them."
            )
        for name in CHANGEABLE:
            values = list(getattr(self, name))
            if values and len(values) != len(epochs):
                raise ConfigError(
                    name,
                    "must hold one value for each of `changes.epochs` = "
                    f"{show(epochs)}, or none, but got {show(values)}.",
                )
