"""Warnings about the findings of a search."""

from collections.abc import Iterator

from orthotune.record.trial_record import Status
from orthotune.report.findings import SearchFindings
from orthotune.report.in_effect import in_effect_at_end
from orthotune.report.status_counts import divergence_rate, parted_text
from orthotune.space.scale import EDGE, edge
from orthotune.text import cell, counted

FEW = 5
"""Trials below which it is said that they are few to compare."""
MUCH = 0.5
"""The divergence rate from which on it is remarked."""


def remarks(findings: SearchFindings) -> list[str]:
    """Sentences; none where nothing is remarkable."""
    return [
        *_unfinished(findings),
        *_diverged(findings),
        *filter(None, [parted_text(findings.records)]),
        *_few(findings),
        *_edges(findings),
    ]


def _unfinished(findings: SearchFindings) -> Iterator[str]:
    still_open = [r for r in findings.records if not r.status.ended]
    if still_open:
        yield (
            f"Not ended: {counted(len(still_open), 'trial')}. All of this may change; "
            "the same command continues."
        )
    failed = [r for r in findings.records if r.status == Status.FAILED]
    if failed:
        error = " ".join((failed[0].error or "no error is known").split())
        yield (
            f"Failed: {counted(len(failed), 'trial')}, number {failed[0].number} with "
            f"`{error.replace('`', chr(39))}`."
        )


def _diverged(findings: SearchFindings) -> Iterator[str]:
    rate = divergence_rate(findings.records)
    if rate == 1:
        yield (
            "Every trial that has ended diverged: nothing here speaks of training. Try "
            "smaller learning rates."
        )
    elif rate >= MUCH:
        yield (
            f"{rate:.0%} of the trials that have ended diverged: most of this space "
            "does not train."
        )


def _few(findings: SearchFindings) -> Iterator[str]:
    count = len(findings.compared)
    if 0 < count < FEW:
        yield (
            f"Only {counted(count, 'trial')} ran an equal budget without diverging: "
            "which is first is chance as much as merit. Raise `search.num_trials`."
        )


def _edges(findings: SearchFindings) -> Iterator[str]:
    best = findings.ranking.best or findings.compared
    title = "best" if findings.ranking.confirmed else "first"
    if not best:
        return
    values = in_effect_at_end(findings.study, best[0])
    for parameter in findings.study.space.parameters:
        value = values.get(parameter.name)
        bound = None if value is None else edge(parameter, value)
        if bound is not None:
            yield (
                f"`{parameter.name}` of the {title} trial is {cell(value)}, within "
                f"{EDGE:.0%} of the bound {bound:g} of its scale: better ones may lie "
                "beyond. Widen it."
            )
