"""Metrics in Optuna's words."""

import math

from orthotune.config.metrics import COSTS, reportable


def told_value(name: str, value: float | None) -> float:
    """A metric v as v / (1 + v), which Optuna is told; what costs as log(1 + v) first.

    In the same order; but a loss of a million, as a diverged trial has, would make all
    others one and the same to the Gaussian process, which sees differences, and a
    million parameters all errors one to the hypervolume.

    Args:
        name: Of the metric.
        value: It; None for the worst.

    Example:
        >>> told_value("val_error", 0.25), told_value("val_error", None)
        (0.2, 0.5)
        >>> round(told_value("num_macs", 1e9), 3), told_value("num_macs", None)
        (0.954, 1.0)
    """
    if name in COSTS:
        value = math.inf if value is None else math.log1p(value)
        return 1.0 if math.isinf(value) else value / (1.0 + value)
    value = reportable(name, math.nan if value is None else value, value is None)
    return value / (1.0 + value)
