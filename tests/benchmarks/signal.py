"""python -m tests.benchmarks.signal: does a stop on a signal save epochs at 110 layers?

`train` runs configurations of `search_spaces/plain110.yaml`, drawn at random, and
prints every epoch of each as a line of JSON. `replay` searches in that table, in many
orders, with asha alone and with the learned rule before it: what was spent and found.
"""

import argparse
import dataclasses
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from ray.tune.schedulers import TrialScheduler

from orthotune.config.trial import TrialConfig
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.stopping.signal_rule import EPOCH, FEATURES, learn_rule
from orthotune.study.study_file import read_study
from orthotune.training.loop import Trial
from orthotune.training.signals import signals
from orthotune.tune.scheduler import build_scheduler
from tests.ray_part import RayTrial

SPACE = "search_spaces/plain110.yaml"
GRACE_SHARE = 4
"""Epochs to the first rung, as a part of all: plain110 waits for 7 of 60."""


def study_of(epochs: int, *, on_signal: bool) -> Study:
    """The search of plain110 with another budget."""
    study = read_study(SPACE, {"search.max_epochs": epochs})
    grace = max(2, epochs // GRACE_SHARE)
    changed = {"stop_on_signal": on_signal, "grace_epochs": grace}
    search = dataclasses.replace(study.settings.search, **changed)
    settings = dataclasses.replace(study.settings, search=search)
    return dataclasses.replace(study, settings=settings)


def train(first: int, last: int, epochs: int) -> None:
    """Train configurations to their end, on one core."""
    study = study_of(epochs, on_signal=True)
    for number in range(first, last):
        values = study.space.draw(random.Random(number))
        trial = Trial(TrialConfig.from_dict(study.trial_fields(values)))
        while not trial.finished:
            metrics, start = trial.run_epoch(), time.perf_counter()
            if trial.epoch == EPOCH and not trial.diverged:
                metrics |= signals(trial)
                metrics["signal_s"] = time.perf_counter() - start
            row = {"config": number, "epoch": trial.epoch, **metrics}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


def read(path: Path) -> list[dict[int, dict[str, float]]]:
    """The history of every configuration that was trained to its end."""
    found: defaultdict[int, dict[int, dict[str, float]]] = defaultdict(dict)
    for line in path.read_text().splitlines():
        row = json.loads(line)
        found[row["config"]][row["epoch"]] = row
    longest = max(map(max, found.values()))
    return [
        history
        for history in found.values()
        if max(history) == longest or history[max(history)]["diverged"]
    ]


def search(
    study: Study, histories: list[dict[int, dict[str, float]]]
) -> tuple[int, float, int]:
    """Epochs spent, the best error at the end, and stops on a signal."""
    settings, scheduler = study.settings, build_scheduler(study)
    records: list[TrialRecord] = []
    condemned = 0
    for number, history in enumerate(histories):
        record = TrialRecord(number=number, fields={}, status=Status.FINISHED)
        record.history, trial = {}, RayTrial(str(number))
        scheduler.on_trial_add(None, trial)
        for epoch, metrics in history.items():
            record.history[epoch] = metrics
            if metrics["diverged"]:
                record.status = Status.DIVERGED
            if metrics["diverged"] or epoch == settings.search.max_epochs:
                break
            on_signal = False
            if settings.search.stop_on_signal and epoch == EPOCH:
                rule = learn_rule(settings.search, settings.metric, records)
                on_signal = rule.condemns(metrics)
                condemned += on_signal
            stop = scheduler.on_trial_result(None, trial, metrics)
            if on_signal or stop == TrialScheduler.STOP:
                record.status = Status.STOPPED
                break
        records.append(record)
    ends = [r.last(settings.metric) for r in records if r.status == Status.FINISHED]
    return sum(len(record.history) for record in records), min(ends), condemned


def replay(path: Path, orders: int) -> None:
    """Search the table in random orders, without and with the rule."""
    histories = read(path)
    epochs = max(map(max, histories))
    plain, ruled = (study_of(epochs, on_signal=on) for on in (False, True))
    rows = []
    for seed in range(orders):
        order = random.Random(seed).sample(histories, len(histories))
        rows.append((*search(plain, order)[:2], *search(ruled, order)))
    spent, best, spent_ruled, best_ruled, condemned = zip(*rows, strict=True)
    worse = sum(b > a for a, b in zip(best, best_ruled, strict=True))
    ends = [history[max(history)]["val_error"] for history in histories]
    chance = sum(end > 0.85 for end in ends)
    shares = [
        history[EPOCH]["signal_s"] / history[EPOCH]["epoch_time_s"]
        for history in histories
        if "signal_s" in history[EPOCH]
    ]
    say = sys.stdout.write
    say(f"{len(histories)} configurations, {chance} of them at chance at the end\n")
    say(f"signals: {statistics.median(shares):.1%} of the first epoch\n")
    say(f"{orders} orders: asha {statistics.fmean(spent):.1f} epochs, ")
    say(f"with the rule {statistics.fmean(spent_ruled):.1f}; ")
    say(f"{statistics.fmean(condemned):.2f} stops on a signal; ")
    say(f"the best worse in {worse}\n")
    _each(ruled, histories)


def _each(study: Study, histories: list[dict[int, dict[str, float]]]) -> None:
    """What a rule learned from all the others would do with each."""
    settings, rows = study.settings, []
    records = [
        TrialRecord(number=n, fields={}, history=history, status=Status.FINISHED)
        for n, history in enumerate(histories)
    ]
    for record in records:
        rest = [other for other in records if other is not record]
        rule = learn_rule(settings.search, settings.metric, rest)
        first = record.history[EPOCH]
        rows.append(
            [record.last(settings.metric), rule.chance(first) or float("nan")]
            + [first.get(name, float("nan")) for name in FEATURES]
        )
    sys.stdout.write(f"val_error,chance,{','.join(FEATURES)}\n")
    for row in sorted(rows):
        sys.stdout.write(",".join(f"{value:.4g}" for value in row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.signal")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("train")
    for name in ("first", "last", "epochs"):
        one.add_argument(name, type=int)
    one = commands.add_parser("replay")
    one.add_argument("table", type=Path)
    one.add_argument("--orders", type=int, default=200)
    options = parser.parse_args()
    if options.command == "train":
        train(options.first, options.last, options.epochs)
    else:
        replay(options.table, options.orders)


if __name__ == "__main__":
    main()
