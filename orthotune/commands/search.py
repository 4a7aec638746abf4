"""python -m orthotune.search: run the study a file describes.

The same command begins a study, continues it, and shows what it came to. Ends with the
table of the best trials, the paths of `best.yaml` and of the report, and the command
that opens MLflow. Exit codes: 0; 1 when no trial gave a result or the study cannot go
on; 2 for bad input; 130 on Ctrl-C.
"""

import argparse
import functools
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orthotune.commands.common import (
    EXIT_OK,
    announce,
    exit_code,
    overrides_of,
    print_next,
    print_troubles,
    read_data,
    run,
    same_study,
    study_parser,
)
from orthotune.console import say
from orthotune.record.study_definition import Study
from orthotune.study.overview import overview
from orthotune.study.study_file import read_study

if TYPE_CHECKING:
    from orthotune.config.trial import DataConfig
    from orthotune.report.search_report import Report
    from orthotune.study.result import Outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the study, print; the exit code."""
    options = _parser().parse_args(arguments)
    return run(lambda: _search(options))


def _parser() -> argparse.ArgumentParser:
    return study_parser(
        "python -m orthotune.search",
        "Search the space a file describes.",
        set_help="set a key of the file (search.num_trials=4) or fix a trial field "
        "(model.depth=44), which then leaves the space (repeatable)",
    )


def _search(options: argparse.Namespace) -> int:
    study = read_study(options.file, overrides_of(options))
    if not (options.plan or options.report):
        announce(overview(study))
    if options.plan:
        return _plan(study, options)
    # What is missing is said before it starts.
    fingerprints = read_data(_data(study))
    if options.report:
        return _report(study, options, fingerprints)
    return _run(study, options, fingerprints)


def _report(
    study: Study, options: argparse.Namespace, fingerprints: dict[str, str]
) -> int:
    from orthotune.report.search_report import write_report
    from orthotune.study.so_far import report_so_far

    command = same_study("orthotune.search", options)
    write = functools.partial(write_report, command=command)
    report = report_so_far(study, options.storage, fingerprints, write)
    _print_best(report)
    say(f"Report              {report.page}")
    return EXIT_OK


def _plan(study: Study, options: argparse.Namespace) -> int:
    from joblib import cpu_count

    from orthotune.data.datasets import data_at_hand
    from orthotune.study.plan import plan_text, without_caches

    with without_caches():
        _, missing = data_at_hand(_data(study))
        say(plan_text(study, cpu_count(), options.storage, missing))
    return EXIT_OK


def _data(study: Study) -> "list[DataConfig]":
    """Every data set the study names, with as much of it as any trial wants."""
    import dataclasses

    from orthotune.config.trial import TrialConfig

    config = TrialConfig.from_dict(next(study.space.corners(1))).data
    varying = {p.name: p.extremes() for p in study.space.parameters}
    largest = {
        leaf: max(value for value in varying[f"data.{leaf}"] if value is not None)
        for leaf in ("batch_size", "num_train")
        if f"data.{leaf}" in varying
    }
    names = varying.get("data.name", [config.name])
    return [dataclasses.replace(config, name=name, **largest) for name in names]


def _run(
    study: Study, options: argparse.Namespace, fingerprints: dict[str, str]
) -> int:
    from orthotune.cluster.environment import prepare

    prepare()
    # Ray and MLflow take seconds to import: only a file that is right waits for them.
    from orthotune.report.search_report import write_report
    from orthotune.study.result import Places
    from orthotune.study.run import run_study

    places = Places.of(options.storage, options.tracking_uri, options.address)
    write = functools.partial(
        write_report, command=same_study("orthotune.search", options)
    )
    outcome = run_study(study, places, fingerprints, write)
    _print_outcome(study, outcome)
    return exit_code(outcome)


def _print_outcome(study: Study, outcome: "Outcome[Report]") -> None:
    from orthotune.report.status_counts import counts_text, divergence_rate
    from orthotune.text import duration

    say(
        f"\n{study.settings.name}: {len(outcome.records)} trials "
        f"({counts_text(outcome.records)}) in {duration(outcome.spent_s)}"
    )
    rate = divergence_rate(outcome.records)
    if rate > 0:
        say(f"Diverged            {rate:.0%} of the trials that have ended")
    print_troubles(outcome, "trials")
    _print_best(outcome.report)
    say(f"Report              {outcome.report.page}")
    print_next(outcome, "orthotune.search")


def _print_best(report: "Report") -> None:
    """The best trials so far, and how to train the first of them again."""
    findings = report.findings
    if report.best_file is None:
        say(_nothing_best(findings.study))
        say(report.table)
        errors = [record.error for record in findings.records if record.error]
        if errors:
            say(f"First error         {errors[0]}")
        return
    epochs = report.best[0].epoch
    say(f"\nBest of those that ran {epochs} epochs:\n{report.table}\n")
    if report.choices:
        say(f"What each choice came to:\n{report.choices}\n")
    words = [sys.executable, "-m", "orthotune.train", str(report.best_file)]
    again = shlex.join([*words, "--set", "training.evaluate_test=true"])
    say(f"Best configuration  {report.best_file}")
    say(f"Train it again      {again}")


def _nothing_best(study: Study) -> str:
    if study.settings.search.is_population:
        return "\nNo schedule has been validated yet. The population:"
    return "No trial gave a result that can be compared."
