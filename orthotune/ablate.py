"""python -m orthotune.ablate: settle the question a file asks.

The same command begins an ablation, continues it, and shows what it came to. Ends with
the verdict on every claim, the ablation table, the path of the report, and the command
that opens MLflow. Exit codes: 0; 1 when no cell gave a result or the ablation cannot go
on; 2 for bad input; 130 on Ctrl-C.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orthotune.ablation.ablation_file import read_ablation
from orthotune.ablation.design import Ablation
from orthotune.command import (
    EXIT_OK,
    exit_code,
    overrides_of,
    print_next,
    print_troubles,
    run,
    study_parser,
)

if TYPE_CHECKING:
    from orthotune.ablation.report import AblationReport
    from orthotune.tuning.study import Outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the ablation, print; the exit code."""
    options = _parser().parse_args(arguments)
    return run(lambda: _ablate(options))


def _parser() -> argparse.ArgumentParser:
    return study_parser(
        "python -m orthotune.ablate",
        "Settle the question a file asks.",
        set_help="set a key of the file (seeds=[1,2]) or a trial field of the "
        "reference (training.num_epochs=2) (repeatable)",
    )


def _ablate(options: argparse.Namespace) -> int:
    ablation = read_ablation(options.file, overrides_of(options))
    fingerprints = _fingerprints(ablation)
    if options.plan:
        from orthotune.ablation.plan import plan_text

        cpus = os.cpu_count() or 1
        print(plan_text(ablation, fingerprints, options.storage, cpus))
        return EXIT_OK
    return _run(ablation, options, fingerprints)


def _fingerprints(ablation: Ablation) -> dict[str, str]:
    """Load every data set an arm names: what is missing is said before it starts."""
    from orthotune.training.config import TrialConfig
    from orthotune.training.data import data_fingerprints

    configs = {TrialConfig.from_dict(arm.fields).data for arm in ablation.arms}
    return data_fingerprints(configs)


def _run(
    ablation: Ablation, options: argparse.Namespace, fingerprints: dict[str, str]
) -> int:
    from orthotune.tuning.environment import prepare

    prepare()
    # Ray and MLflow take seconds to import: only a file that is right waits for them.
    from orthotune.ablation.findings import further_trials
    from orthotune.ablation.report import report_writer
    from orthotune.tuning.study import Places, run_study

    places = Places.of(options.storage, options.tracking_uri, options.address)
    write = report_writer(ablation, fingerprints)
    study = ablation.study(further_trials(ablation, fingerprints))
    outcome = run_study(study, places, fingerprints, write)
    _print_outcome(ablation, outcome)
    return exit_code(outcome)


def _print_outcome(ablation: Ablation, outcome: "Outcome[AblationReport]") -> None:
    from orthotune.ablation.report import arm_table, verdict_text
    from orthotune.training.progress import duration

    report = outcome.report
    print(
        f"\n{ablation.name}: {len(outcome.records)} cells in "
        f"{duration(outcome.spent_s)}\n\n{ablation.question}\n"
    )
    print_troubles(outcome, "cells")
    print(f"{verdict_text(report.findings)}\n\n{arm_table(report.findings)}\n")
    print(f"Report              {report.paths[0]}")
    print_next(outcome, "orthotune.ablate")


if __name__ == "__main__":
    sys.exit(main())
