"""The metrics of an epoch: their names, and what a diverged trial reports.

Loss: mean cross-entropy in nats. Error: fraction in [0, 1]. Penalty: sum over layers,
not times the coefficient.
"""

import math

TARGETS = (
    "val_error",
    "val_loss",
    "train_loss",
    "orthonormality_penalty",
    "gram_deviation_max",
)
"""What a study may minimize: all are better when smaller."""

COSTS = ("epoch_time_s", "num_parameters", "num_macs")
"""What a study may minimize beside such a target, never alone."""

MOST_OBJECTIVES = 3
"""Metrics that a study may minimize at once."""

ACCURACY = "val_accuracy"
"""What people maximize, which is `val_error` minimized."""

METRICS = (
    "train_loss",
    "val_loss",
    "val_error",
    "orthonormality_penalty",
    "gram_deviation_max",
    "backward_error_ratio",
    "lr",
    "epoch_time_s",
    "images_per_s",
    "num_parameters",
    "num_macs",
    "diverged",
)
"""The keys of every epoch's metrics. `test_error` joins them in the last epoch where
`training.evaluate_test` asks for it."""

SIGNALS = ("feature_rank", "loss_over_chance")
"""What the first epoch reports as well, where `search.stop_on_signal` asks for it."""

ACCURACY_NOTE = (
    "val_accuracy is 1 - val_error: what is best has the smallest val_error, which is "
    "shown."
)


def minimized(metric: str) -> str:
    """The metric that is minimized where one is asked for.

    Example:
        >>> minimized("val_accuracy"), minimized("val_loss")
        ('val_error', 'val_loss')
    """
    return "val_error" if metric == ACCURACY else metric


MAX_LOSS = 1e6
MAX_DIAGNOSTIC = 1e30
"""What a loss or a diagnostic is reported as when it is larger or not finite."""


def reportable(name: str, value: float, diverged: bool) -> float:
    """A metric as it is reported: finite, and the worst case in a diverged epoch.

    Example:
        >>> reportable("val_error", 0.2, diverged=True)
        1.0
        >>> reportable("backward_error_ratio", float("nan"), diverged=False)
        1e+30
    """
    if diverged and name.endswith("_error"):
        return 1.0
    largest = MAX_LOSS if name.endswith("_loss") else MAX_DIAGNOSTIC
    if diverged and name in TARGETS:
        return largest
    return min(value, largest) if math.isfinite(value) else largest
