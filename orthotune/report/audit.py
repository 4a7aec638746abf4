"""What stopping trials early has cost, in words: the audit's part of a report."""

from collections.abc import Sequence

from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.statistics.proportion import exact_count_interval
from orthotune.stopping.audit import AuditFindings, audit_findings
from orthotune.stopping.signal_rule import FEWEST, LEVEL, is_active, learn_rule
from orthotune.text import Rows, counted, markdown_table

CONFIDENCE = 0.95

WHO = (
    "The audited were drawn by the study's seed and their numbers alone. They ran on "
    "to the full budget, which neither the searcher nor the scheduler has seen; "
    "everywhere else in this report they are trials that were stopped."
)


def audit_part(study: Study, records: Sequence[TrialRecord]) -> list[str]:
    """The part of the report; empty where nothing was to be audited.

    Args:
        study: The study.
        records: Its trials.
    """
    search = study.settings.search
    parts = []
    if search.audit:
        found = audit_findings(records, study)
        parts += ["## What stopping cost", *_verdict(study, found), WHO]
    if search.stop_on_signal:
        found = audit_findings(records, study, on_signal=True)
        parts += ["## Stopped on a signal", _rule(study, records)]
        parts += [*_verdict(study, found), WHO]
    return parts


def _verdict(study: Study, found: AuditFindings) -> list[str]:
    """What an audit says of the trials that were stopped by one cause."""
    metric, parts = study.settings.metric, [_said(found)]
    if found.audited and found.best:
        parts += [_beaten(found, metric), _regret(found, metric)]
        parts.append(markdown_table(audit_rows(found)))
    if found.stopped:
        parts.append(_saved(found, study.settings.search.num_trials))
    return parts


def _rule(study: Study, records: Sequence[TrialRecord]) -> str:
    """What the study has learned of its first epochs."""
    search = study.settings.search
    if not is_active(search):
        return (
            "The scheduler decides after the first epoch, as `search.grace_epochs` is "
            "1: nothing is left to a signal."
        )
    rule = learn_rule(search, study.settings.metric, records)
    known = f"{rule.num_good} good and {rule.num_bad} other trials"
    if rule.fitted is None:
        return f"No rule was learned: it takes {FEWEST} of each, and there are {known}."
    effects = ", ".join(
        f"`{name}` {value:+.2f}" for name, value in rule.coefficients.items()
    )
    return (
        "After their first epoch trials were stopped whose chance to end among the "
        f"best one in {search.reduction_factor} was below {LEVEL:.0%}, by a logistic "
        "regression on the logarithms of what is known of the layers then. It was "
        f"learned anew for every trial, from those that went on: at the end {known}. "
        "One standard deviation more of each then changes the log-odds of a good end "
        f"by: {effects}."
    )


def _said(found: AuditFindings) -> str:
    """How many were audited."""
    if not found.stopped:
        return "No trial was stopped, and so none was audited."
    stopped = counted(len(found.stopped), "stopped trial")
    text = f"Audited: **{len(found.audited)} of {stopped}**."
    if found.open:
        text += f" {found.open} {'is' if found.open == 1 else 'are'} on the way."
    if found.failed:
        text += f" {found.failed} ended with an error, and are left out."
    if not found.audited:
        text += " Nothing is known of what stopping cost."
    elif not found.best:
        text += " No other trial ran to its end: there is nothing to compare them with."
    return text


def _beaten(found: AuditFindings, metric: str) -> str:
    rank, number, stopped = len(found.best), len(found.audited), len(found.stopped)
    count = len(found.better_than(rank))
    low, high = exact_count_interval(count, number, stopped, CONFIDENCE)
    return (
        f"{count} of the {number} would have been among the best {rank} (better than "
        f"`{metric}` {found.best_values[-1]:.4f}). Of all {stopped} that is true of "
        f"{low} to {high} ({low / stopped:.0%} to {high / stopped:.0%}), with "
        f"{CONFIDENCE:.0%} confidence."
    )


def _regret(found: AuditFindings, metric: str) -> str:
    number, stopped = len(found.audited), len(found.stopped)
    better = found.better_than(1)
    if not better:
        text = "None of them would have been better than the best: the regret is 0"
    else:
        best = min(better, key=lambda one: one.value)
        text = (
            f"{counted(len(better), 'trial')} of them would have been better than the "
            f"best, the best of these trial {best.record.number} with `{metric}` "
            f"{best.value:.4f}: a regret of {found.regret:.4f}"
        )
    if number == stopped:
        return f"{text}. Every stopped trial was audited."
    _, high = exact_count_interval(len(better), number, stopped, CONFIDENCE)
    return (
        f"{text}, as far as the audit saw, which was {number / stopped:.0%} of the "
        f"stopped. Of the {stopped - number} that it did not see up to "
        f"{high - len(better)} may have been better than the best, too, with the same "
        "confidence: the regret is that or more."
    )


def audit_rows(found: AuditFindings) -> Rows:
    """A row for every epoch at which trials were stopped.

    Args:
        found: What the audit has found, of which there are results.
    """
    rank = len(found.best)
    beaten = f"of these among the best {rank}"
    rows: list[Sequence[str]] = [["stopped at epoch", "stopped", "audited", beaten]]
    better = found.better_than(rank)
    for epoch in sorted({record.epoch for record in found.stopped}):
        records = (
            found.stopped,
            [one.record for one in found.audited],
            [one.record for one in better],
        )
        numbers = [sum(r.epoch == epoch for r in some) for some in records]
        rows.append([str(epoch), *map(str, numbers)])
    return rows


def _saved(found: AuditFindings, num_trials: int) -> str:
    saved, spent = found.epochs_saved, found.epochs_audited
    whole = num_trials * found.max_epochs
    return (
        f"Stopping saved {saved:,} of {whole:,} epochs ({saved / whole:.0%}); the "
        f"audit trained {spent:,} of them: {saved - spent:,} were saved net "
        f"({(saved - spent) / whole:.0%})."
    )
