"""The end of a session in MLflow: the study's run and its groups', up to date."""

from collections.abc import Collection

from orthotune.record.journal import now_ms
from orthotune.record.trial_record import TrialRecord
from orthotune.tracking.study_runs import StudyRuns
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracked_run import (
    INCOMPLETE,
    TrackedRun,
    metric_entity,
    tag_entities,
)


def close_study(
    runs: StudyRuns,
    parent: TrackedRun,
    summary: Summary,
    metric: str,
    records: Collection[TrialRecord],
) -> None:
    """Bring the study's run and its groups' up to date, and end them.

    Args:
        runs: The study's.
        parent: Its own run.
        summary: What it came to.
        metric: What it minimizes.
        records: Its trials.
    """
    known = summary.metrics.items() <= parent.metrics.items()
    ended_so = parent.status == summary.status == "FINISHED"
    if known and ended_so and not parent.incomplete:
        return
    # Its own step and time: the same summary twice is one.
    ended = [r for r in records if r.status.ended]
    at = max((record.ended_ms or 0 for record in ended), default=now_ms())
    _close_groups(runs, summary, metric, at)
    metrics = [
        metric_entity(name, value, at, len(ended))
        for name, value in summary.metrics.items()
    ]
    marks = {INCOMPLETE: "files are missing"} if summary.artifacts else {}
    tags = tag_entities({**summary.tags, **marks})
    runs.client.log_batch(parent.run_id, metrics=metrics, tags=tags)
    # Before the files, which may be refused, or take for ever: the mark says that
    # it is to be looked at again.
    runs.client.set_terminated(parent.run_id, status=summary.status)
    parent.status = summary.status
    for path in summary.artifacts:
        runs.client.log_artifact(parent.run_id, str(path))
    for mark in marks:
        runs.client.delete_tag(parent.run_id, mark)


def _close_groups(runs: StudyRuns, summary: Summary, metric: str, at_ms: int) -> None:
    """Bring the runs of groups up to date and end them."""
    for group in summary.groups:
        run = runs.group(group.name)
        last = max(group.curve, default=0)
        # Of a later session it is another, beside this one: MLflow keeps both.
        curve = group.curve if summary.status != "KILLED" else {}
        metrics = [
            *(
                metric_entity(metric, value, at_ms, epoch)
                for epoch, value in curve.items()
            ),
            *(metric_entity(name, v, at_ms, last) for name, v in group.metrics.items()),
        ]
        runs.log_params(run, group.params)
        runs.log_metrics(run, metrics)
        runs.client.log_batch(run.run_id, tags=tag_entities(group.tags))
    runs.end_groups(summary.status)
