"""The configuration of a training that another one has begun."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orthotune.config.changes import CHANGEABLE, ChangesConfig
from orthotune.config.trial import TrialConfig


def changeable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some fields that may change in training, with their changes.

    Args:
        fields: Values by dotted name.

    Example:
        >>> changeable({"model.depth": 8, "optimizer.lr": 0.1, "changes.epochs": []})
        {'optimizer.lr': 0.1, 'changes.epochs': []}
    """
    names = set(CHANGEABLE.values())
    return {k: v for k, v in fields.items() if k in names or k.startswith("changes.")}


def taken_over(ours: TrialConfig, theirs: TrialConfig, epoch: int) -> TrialConfig:
    """Our configuration, with the past of a training that ours goes on with.

    Settings that may change in training are theirs up to an epoch, and ours from then
    on; all others are ours. A trial of what is given does from scratch the same.

    Args:
        ours: What is trained from now on.
        theirs: What was trained so far.
        epoch: Epochs finished.

    Example:
        >>> theirs = TrialConfig.from_dict({"optimizer.lr": 0.1})
        >>> ours = TrialConfig.from_dict({"optimizer.lr": 0.05})
        >>> config = taken_over(ours, theirs, 3)
        >>> [config.value("lr", epoch) for epoch in (0, 2, 3, 9)]
        [0.1, 0.1, 0.05, 0.05]
        >>> taken_over(ours, config, 5) == config
        True
    """
    if epoch == 0 or changeable(ours.to_dict()) == changeable(theirs.to_dict()):
        return ours
    before = [start for start in theirs.changes.epochs if start < epoch]
    after = [start for start in ours.changes.epochs if start > epoch]
    differing = any(
        ours.value(name, epoch) != theirs.value(name, epoch - 1) for name in CHANGEABLE
    )
    starts = [*before, *([epoch] if differing else []), *after]
    values = {
        name: tuple((theirs if at < epoch else ours).value(name, at) for at in starts)
        for name in CHANGEABLE
    }
    first = {name: theirs.value(name, 0) for name in CHANGEABLE}
    changes = {name: new for name, new in values.items() if {*new} - {first[name]}}
    fields = {field: first[name] for name, field in CHANGEABLE.items()}
    past = TrialConfig.from_dict({**ours.to_dict(), **fields})
    epochs = tuple(starts) if changes else ()
    return replace(past, changes=ChangesConfig(epochs=epochs, **changes))
