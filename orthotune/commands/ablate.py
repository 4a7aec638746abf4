"""python -m orthotune.ablate: settle the question a file asks.

The same command begins an ablation, continues it, and shows what it came to. Ends with
the verdict on every claim, the ablation table, the path of the report, and the command
that opens MLflow. Exit codes: 0; 1 when no cell gave a result or the ablation cannot go
on; 2 for bad input; 130 on Ctrl-C.
"""

import argparse
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orthotune.api import ablate
from orthotune.commands.common import (
    EXIT_OK,
    add_study_options,
    exit_code,
    overrides_of,
    print_next,
    print_troubles,
    same_study,
)
from orthotune.commands.parsing import Command, add_import_option
from orthotune.console import say
from orthotune.design.ablation import Ablation
from orthotune.design.ablation_file import read_ablation
from orthotune.shipped import found_file

if TYPE_CHECKING:
    from orthotune.ablation.plan import Others
    from orthotune.blocks.report import Written
    from orthotune.study.result import StudyResult


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the ablation, print; the exit code."""
    return COMMAND.main("python -m orthotune.ablate", arguments)


def _configure(parser: argparse.ArgumentParser) -> None:
    add_import_option(parser)
    add_study_options(
        parser,
        folder="ablations",
        set_help="set a key of the file (seeds=[1,2]) or a trial field of the "
        "reference (training.num_epochs=2) (repeatable)",
    )
    parser.add_argument(
        "--no-reuse",
        action="store_true",
        help="run every cell, also those that another study of the MLflow store has "
        "run with this code",
    )


def _ablate(options: argparse.Namespace) -> int:
    file = found_file(options.file, "ablations")
    ablation = read_ablation(file, overrides_of(options))
    if options.plan:
        return _plan(ablation, options)
    if options.report:
        return _report(ablation, options)
    found = ablate(
        ablation,
        storage=options.storage,
        tracking_uri=options.tracking_uri,
        address=options.address,
        tensorboard=options.tensorboard,
        reuse=not options.no_reuse,
        command=same_study("orthotune.ablate", options),
    )
    if found.outcome is None:
        raise RuntimeError("An ablation must give an outcome.")
    _print_outcome(ablation, found.outcome, options)
    return exit_code(found.outcome)


def _plan(ablation: Ablation, options: argparse.Namespace) -> int:
    from joblib import cpu_count

    from orthotune.ablation.plan import plan_text
    from orthotune.data.datasets import data_at_hand
    from orthotune.study.plan import without_caches

    with without_caches():
        fingerprints, missing = data_at_hand(ablation.data())
        cpus, others = cpu_count(), _others(ablation, options)
        storage = options.storage
        say(plan_text(ablation, fingerprints, storage, cpus, others, missing))
    return EXIT_OK


def _report(ablation: Ablation, options: argparse.Namespace) -> int:
    from orthotune.blocks.report import report_writer
    from orthotune.study.so_far import report_so_far

    command = same_study("orthotune.ablate", options)
    writer = functools.partial(report_writer, ablation, command=command)
    report = report_so_far(ablation.study(), options.storage, writer)
    _print_findings(report)
    return EXIT_OK


def _others(ablation: Ablation, options: argparse.Namespace) -> "Others":
    """Finds the results of other studies that a run would reuse."""
    from orthotune.record.provenance import provenance
    from orthotune.tracking.reuse import EarlierTrials
    from orthotune.tracking.tracking_uri import check_store, resolve_tracking_uri

    if options.no_reuse or ablation.register is not None:
        return lambda _wanted: {}
    uri = resolve_tracking_uri(options.tracking_uri)
    if uri.startswith("http"):  # a file that another may write to can be read
        check_store(uri)
    return EarlierTrials(uri, "", provenance(), only_read=True).find


def _print_outcome(
    ablation: Ablation,
    outcome: "StudyResult[Written]",
    options: argparse.Namespace,
) -> None:
    from orthotune.text import duration

    report = outcome.report
    reused = sum(record.reused is not None for record in outcome.records)
    taken = f", {reused} of them taken from other studies," if reused else ""
    say(
        f"\n{ablation.name}: {len(outcome.records)} cells{taken} in "
        f"{duration(outcome.spent_s)}\n\n{ablation.question}\n"
    )
    print_troubles(outcome)
    _print_findings(report)
    print_next(outcome, "orthotune.ablate", options)
    if outcome.registered:
        say(f"Registered          {outcome.registered}")


def _print_findings(report: "Written") -> None:
    """The verdicts so far, and the tables behind them."""
    say(f"{report.summary}\n")
    say(f"Report              {report.paths[0]}")


COMMAND = Command(
    name="ablate",
    summary="Settle the question a file asks.",
    examples=(
        "orthotune ablate components --plan",
        "orthotune ablate my_question.yaml --set 'seeds=[1, 2, 3]'",
    ),
    configure=_configure,
    execute=_ablate,
)
