"""The values of scheduled settings at any moment of training."""

from orthotune.config.changes import CHANGEABLE
from orthotune.config.trial import TrialConfig


def scheduled_settings(config: TrialConfig, epoch: int, progress: float) -> list[float]:
    """Learning rate, coefficient, threshold and strength, in the order of `CHANGEABLE`.

    Each is the value in force in its epoch times the factor of its schedule; the
    threshold has none.

    Args:
        config: What is trained.
        epoch: Epochs finished: `changes` come into force between epochs.
        progress: Training progress in [0, 1], for the schedules.

    Example:
        >>> config = TrialConfig.from_dict(
        ...     {"optimizer.schedule.kind": "constant", "changes.epochs": [5],
        ...      "changes.lr": [0.5], "modulation.schedule.kind": "window",
        ...      "modulation.schedule.stop": 0.5}
        ... )
        >>> scheduled_settings(config, 5, 0.55)
        [0.5, 0.001, 0.1, 0.0]
    """
    factors = (
        config.optimizer.schedule.factor(progress),
        config.regularizer.schedule.factor(progress),
        1.0,
        config.modulation.schedule.factor(progress),
    )
    base = [config.value(name, epoch) for name in CHANGEABLE]
    return [value * factor for value, factor in zip(base, factors, strict=True)]


def curves(config: TrialConfig, points: int) -> dict[str, list[float]]:
    """The settings over a whole training, by their names in `changes`.

    Those of an ingredient that is switched off are left out: the coefficient without a
    penalty, threshold and strength without modulation.

    Args:
        config: What is trained.
        points: Moments, in the middles of equal parts of the training.

    Example:
        >>> fields = {"optimizer.schedule.kind": "linear", "regularizer.kind": "none"}
        >>> fields |= {"optimizer.schedule.warmup": 0, "modulation.enabled": False}
        >>> curves(TrialConfig.from_dict(fields), 2)
        {'lr': [0.0075, 0.0025]}
    """
    rows, read = [], config.in_effect()
    for index in range(points):
        progress = (index + 0.5) / points
        epoch = int(progress * config.training.num_epochs)
        rows.append(scheduled_settings(config, epoch, progress))
    columns = dict(zip(CHANGEABLE, zip(*rows, strict=True), strict=True))
    return {
        name: list(column)
        for name, column in columns.items()
        if CHANGEABLE[name] in read
    }
