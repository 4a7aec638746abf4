"""The winner's curse: what a search's first trial is worth with seeds of its own.

    python -m tests.benchmarks.confirmation --studies 10 > studies.csv

Random searches of a shipped space, shortened, in this process; each ends with the
platform's own confirmation. A row a study.
"""

import argparse
import csv
import random
import statistics
import sys
from collections.abc import Iterator

import torch

from orthotune.config.trial import TrialConfig
from orthotune.record.confirmation import find_confirmation
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.study.study_file import read_study
from orthotune.training.loop import Trial

METRIC = "val_error"
SHORT = {
    "search.scheduler": "none",
    "search.num_trials": 16,
    "search.max_epochs": 4,
    "search.confirm.top": 5,
    "search.confirm.seeds": 3,
    "data.num_train": 700,
}
HEADER = "study,search,confirmed,curse,mean_curse,best,changed,left,runs".split(",")


def main() -> None:
    """Run the studies, and print a row of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.confirmation")
    parser.add_argument("--file", default="search_spaces/penalty.yaml")
    parser.add_argument("--studies", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    study, rows = (
        read_study(options.file, SHORT),
        csv.writer(sys.stdout, lineterminator="\n"),
    )
    rows.writerow(HEADER)
    for number in range(1, options.studies + 1):
        rows.writerow([number, *one_study(study, number)])
        sys.stdout.flush()


def one_study(study: Study, seed: int) -> Iterator[object]:
    """What one search comes to, in the order of the header."""
    rng, records = random.Random(seed), []
    for _ in range(study.settings.search.num_trials):
        fields = study.trial_fields(study.space.draw(rng))
        records.append(trained(len(records), {**fields, "seed": 1000 * seed}))
    searched = len(records)
    while due := find_confirmation(study.settings, records).due:
        for number, fields in due:
            records.append(trained(len(records), fields, number))
    found = find_confirmation(study.settings, records)
    first = min(found.candidates, key=lambda one: (one.value, one.record.number))
    best = found.complete[0]
    yield f"{first.value:.4f}"
    yield f"{first.mean:.4f}"
    yield f"{first.curse:.4f}"
    yield f"{statistics.fmean(one.curse for one in found.candidates):.4f}"
    yield f"{best.mean:.4f}"
    yield int(best is not first)
    yield sum(one.left_after is not None for one in found.candidates)
    yield len(records) - searched


def trained(number: int, fields: dict, validates: int | None = None) -> TrialRecord:
    """A trial that has run to its end."""
    trial, metrics = Trial(TrialConfig.from_dict(fields)), {"diverged": 0.0}
    while not trial.finished:
        metrics = trial.run_epoch()
    return TrialRecord(
        number=number,
        fields=fields,
        validates=validates,
        status=Status.DIVERGED if metrics["diverged"] else Status.FINISHED,
        history={trial.epoch: metrics},
    )


if __name__ == "__main__":
    main()
