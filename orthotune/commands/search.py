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

from orthotune.api import search
from orthotune.commands.common import (
    EXIT_OK,
    add_study_options,
    exit_code,
    import_words,
    overrides_of,
    print_next,
    print_troubles,
    same_study,
)
from orthotune.commands.parsing import Command, add_import_option
from orthotune.console import say
from orthotune.record.study_definition import Study
from orthotune.shipped import found_file
from orthotune.study.data import data_of
from orthotune.study.study_file import read_study

if TYPE_CHECKING:
    from orthotune.report.search_report import Report
    from orthotune.study.result import StudyResult


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the study, print; the exit code."""
    return COMMAND.main("python -m orthotune.search", arguments)


def _configure(parser: argparse.ArgumentParser) -> None:
    add_import_option(parser)
    add_study_options(
        parser,
        folder="search_spaces",
        set_help="set a key of the file (search.num_trials=4) or fix a trial field "
        "(model.depth=44), which then leaves the space (repeatable)",
    )


def _search(options: argparse.Namespace) -> int:
    file = found_file(options.file, "search_spaces")
    study = read_study(file, overrides_of(options))
    return run_search(
        study, options, "orthotune.search", same_study("orthotune.search", options)
    )


def run_search(
    study: Study, options: argparse.Namespace, module: str, command: str
) -> int:
    """Run a study that was read, or plan or report it; the exit code.

    Args:
        study: The study.
        options: Of `add_run_options`.
        module: The command's, and its name where that is not enough.
        command: What runs it again.
    """
    if options.plan:
        return _plan(study, options)
    if options.report:
        return _report(study, options, command)
    found = search(
        study,
        storage=options.storage,
        tracking_uri=options.tracking_uri,
        address=options.address,
        tensorboard=options.tensorboard,
        command=command,
    )
    if found.outcome is None:
        raise RuntimeError("A search must give an outcome.")
    _print_outcome(study, found.outcome, options, module)
    return exit_code(found.outcome)


def _report(study: Study, options: argparse.Namespace, command: str) -> int:
    from orthotune.report.search_report import write_report
    from orthotune.study.so_far import report_so_far

    write = functools.partial(write_report, command=command)
    report = report_so_far(study, options.storage, lambda _: write)
    _print_best(report, options)
    say(f"Report              {report.page}")
    return EXIT_OK


def _plan(study: Study, options: argparse.Namespace) -> int:
    from joblib import cpu_count

    from orthotune.data.datasets import data_at_hand
    from orthotune.study.plan import plan_text, without_caches
    from orthotune.warmstart.earlier_studies import with_warm_start

    with without_caches():
        fingerprints, missing = data_at_hand(data_of(study))
        study = with_warm_start(study, options.storage, fingerprints)
        say(plan_text(study, cpu_count(), options.storage, missing))
    return EXIT_OK


def _print_outcome(
    study: Study,
    outcome: "StudyResult[Report]",
    options: argparse.Namespace,
    module: str,
) -> None:
    from orthotune.report.status_counts import counts_text, divergence_rate
    from orthotune.text import duration

    say(
        f"\n{study.settings.name}: {len(outcome.records)} trials "
        f"({counts_text(outcome.records)}) in {duration(outcome.spent_s)}"
    )
    rate = divergence_rate(outcome.records)
    if rate > 0:
        say(f"Diverged            {rate:.0%} of the trials that have ended")
    print_troubles(outcome)
    _print_best(outcome.report, options)
    say(f"Report              {outcome.report.page}")
    print_next(outcome, module, options)


def _print_best(report: "Report", options: argparse.Namespace) -> None:
    """The best trials so far, and how to train the first of them again."""
    findings = report.findings
    if report.best and findings.ranking.is_front:
        say(f"\nThe front, {findings.ranking.why}\n{report.table}\n")
        say(f"Configurations      {report.schedules[0].parent}")
        return
    if report.best_file is None:
        say(_nothing_best(findings.study))
        say(report.table)
        errors = [record.error for record in findings.records if record.error]
        if errors:
            say(f"First error         {errors[0]}")
        return
    ranking = findings.ranking
    confirmed = "Confirmed from scratch with fresh seeds, best first"
    first = f"First of those that ran {report.best[0].epoch} epochs, not confirmed"
    say(f"\n{confirmed if ranking.confirmed else first}:\n{report.table}\n")
    if ranking.race:
        say("\n".join(ranking.race) + "\n")
    if report.choices:
        say(f"What each choice came to:\n{report.choices}\n")
    words = [sys.executable, "-m", "orthotune.train", str(report.best_file)]
    words += import_words(options)
    again = shlex.join([*words, "--set", "training.evaluate_test=true"])
    what = "Best configuration" if ranking.confirmed else "First in the search"
    say(f"{what:<20}{report.best_file}")
    say(f"Train it again      {again}")


def _nothing_best(study: Study) -> str:
    if study.settings.search.is_population:
        return "\nNo schedule has been confirmed yet. The population:"
    return "No trial gave a result that can be compared."


COMMAND = Command(
    name="search",
    summary="Search the space a file describes.",
    examples=(
        "orthotune search modulation --plan",
        "orthotune search my_space.yaml --set search.num_trials=40 --name longer",
    ),
    configure=_configure,
    execute=_search,
)
