"""Which trials are stopped after their first epoch: a rule learned in the study itself.

What is known of a network's layers after its first updates says whether it will train,
and what that looks like depends on the space. So the rule is learned from the trials of
the study that went on, anew for every decision: it is a function of the record.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orthotune.config.metrics import SIGNALS
from orthotune.record.population import population
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.space.rungs import rungs
from orthotune.space.settings import SearchSettings

if TYPE_CHECKING:  # a study without such a rule needs no scikit-learn for it
    from sklearn.pipeline import Pipeline

EPOCH = 1
"""After which it is decided."""

FEATURES = ("backward_error_ratio", "gram_deviation_max", *SIGNALS)
"""What is looked at; of each the logarithm."""

FEWEST = 5
"""Trials of either outcome that must have ended before any is stopped."""

LEVEL = 0.1
"""A trial is stopped if its chance to end among the better ones is below this."""

SMALLEST = 1e-30


@dataclass(frozen=True, kw_only=True)
class SignalRule:
    """A logistic regression on the standardized logarithms of the signals.

    Args:
        num_good: From how many trials that ended among the better ones it is learned.
        num_bad: From how many others.
        fitted: The regression; None if there are too few to learn from.
    """

    num_good: int
    num_bad: int
    fitted: "Pipeline | None"

    def chance(self, metrics: Mapping[str, float]) -> float | None:
        """The chance of a trial to end among the better ones; None if nobody knows.

        Args:
            metrics: Of its first epoch.
        """
        values = features(metrics)
        if self.fitted is None or values is None:
            return None
        return float(self.fitted.predict_proba([values])[0, 1])

    def condemns(self, metrics: Mapping[str, float]) -> bool:
        """Whether a trial is stopped for what it is after its first epoch.

        Args:
            metrics: Of its first epoch.
        """
        chance = self.chance(metrics)
        return chance is not None and chance < LEVEL

    @property
    def coefficients(self) -> dict[str, float]:
        """Of each signal, the change of the log-odds with one standard deviation."""
        if self.fitted is None:
            return {}
        (found,) = self.fitted[-1].coef_.tolist()  # pyright: ignore[reportAttributeAccessIssue]
        return dict(zip(FEATURES, found, strict=True))


def is_active(search: SearchSettings) -> bool:
    """Whether there is a decision to take before the scheduler takes its first.

    Args:
        search: How the space is searched.
    """
    first = min(rungs(search), default=search.max_epochs)
    return search.stop_on_signal and first > EPOCH


def stopped_on_signal(search: SearchSettings, record: TrialRecord) -> bool:
    """Whether a trial was stopped before the scheduler could.

    Args:
        search: How the space is searched.
        record: The trial.
    """
    stopped = record.status == Status.STOPPED or record.audit is not None
    return is_active(search) and stopped and record.epoch == EPOCH


def features(metrics: Mapping[str, float]) -> list[float] | None:
    """The logarithms of a trial's signals; None if one of them is missing.

    Args:
        metrics: Of its first epoch.

    Example:
        >>> features({"val_error": 0.5}) is None
        True
        >>> features(dict.fromkeys(FEATURES, 1.0))
        [0.0, 0.0, 0.0, 0.0]
    """
    missing = any(name not in metrics for name in FEATURES)
    if missing or metrics.get("diverged"):
        return None
    return [math.log(max(metrics[name], SMALLEST)) for name in FEATURES]


def learn_rule(
    search: SearchSettings, metric: str, records: Sequence[TrialRecord]
) -> SignalRule:
    """The rule, from the trials that have ended by themselves or by the scheduler.

    Good are the best of them, one in `reduction_factor`: those that came further are
    better, those that came as far are compared by the metric, and those that diverged
    are worst. What an audit has seen is not known here.

    Args:
        search: How the space is searched.
        metric: What is minimized.
        records: The trials.
    """
    known = []
    for record in population(records):
        is_over = record.status.ended or record.audit is not None
        if not is_over or stopped_on_signal(search, record):
            continue
        values = features(record.history[EPOCH]) if EPOCH in record.history else None
        if values is not None and record.status not in (Status.FAILED, Status.OOM):
            known.append((_place(record, metric), values))
    known.sort()
    num_good = len(known) // search.reduction_factor
    num_bad = len(known) - num_good
    fitted = None
    if min(num_good, num_bad) >= FEWEST:
        fitted = _fit([values for _, values in known], num_good)
    return SignalRule(num_good=num_good, num_bad=num_bad, fitted=fitted)


def _place(record: TrialRecord, metric: str) -> tuple[bool, int, float, int]:
    diverged = record.status == Status.DIVERGED
    return diverged, -record.epoch, record.last(metric), record.number


def _fit(values: Sequence[Sequence[float]], num_good: int) -> "Pipeline":
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    good = [index < num_good for index in range(len(values))]
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(values, good)
