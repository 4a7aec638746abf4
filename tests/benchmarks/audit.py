"""python -m tests.benchmarks.audit: how often the interval of an audit holds the truth.

Studies of trials whose end is known are stopped by the scheduler of a search, one trial
after the other, and audited. What the report's interval says of the stopped is held
against all of them: the share that would have been among the best. A csv of rows.
"""

import argparse
import csv
import sys

import numpy as np
from ray.tune.schedulers import TrialScheduler

from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import SearchSettings, StudySettings
from orthotune.statistics.proportion import exact_count_interval
from orthotune.stopping.audit import audit_findings, is_drawn
from orthotune.tune.scheduler import build_scheduler
from tests.ray_part import RayTrial

METRIC = "val_error"
MAX_EPOCHS = 27
RUNGS = (1, 3, 9)


def curves(rng: np.random.Generator, trials: int, spread: float) -> np.ndarray:
    """The metric of every trial at each rung and at the end: `(trials, rungs + 1)`.

    What a trial shows early is its end and a deviation, which shrinks with the root of
    the epochs; `spread` is that after the first, in standard deviations of the ends.
    """
    ends = rng.normal(size=(trials, 1))
    shrinking = spread / np.sqrt(RUNGS)
    early = ends + shrinking * rng.normal(size=(trials, len(RUNGS)))
    return np.hstack([early, ends])


def played(
    values: np.ndarray, share: float, seed: int
) -> tuple[Study, list[TrialRecord]]:
    """A study of trials with these curves, and its record."""
    search = SearchSettings(max_epochs=MAX_EPOCHS, audit=share, seed=seed)
    settings = StudySettings(search=search)
    study = Study(path="", settings=settings, space=SearchSpace(parameters=()))
    scheduler, records = build_scheduler(study), []
    for number, curve in enumerate(values.tolist()):
        record = TrialRecord(number=number, fields={}, status=Status.FINISHED)
        record.history, trial = {}, RayTrial(str(number))
        scheduler.on_trial_add(None, trial)
        for epoch, value in zip((*RUNGS, MAX_EPOCHS), curve, strict=True):
            record.history[epoch] = {METRIC: value, "diverged": 0.0}
            if epoch == MAX_EPOCHS:
                break
            told = {"epoch": epoch, METRIC: value}
            if scheduler.on_trial_result(None, trial, told) == TrialScheduler.STOP:
                record.status = Status.STOPPED
                if is_drawn(search, number):
                    end = {METRIC: curve[-1], "diverged": 0.0}
                    record.audit = {MAX_EPOCHS: end}
                break
        records.append(record)
    return study, records


def one_study(rng: np.random.Generator, trials: int, spread: float, share: float):
    """The truth, the interval's ends, and regrets; None if nothing was audited."""
    values = curves(rng, trials, spread)
    study, records = played(values, share, int(rng.integers(2**32)))
    found = audit_findings(records, study)
    if not found.audited:
        return None
    all_ends = values[[record.number for record in found.stopped], -1]
    truth = float(np.mean(all_ends < found.best_values[-1]))
    count = len(found.better_than(len(found.best)))
    low, high = exact_count_interval(count, len(found.audited), len(found.stopped))
    ends = np.array([low, high]) / len(found.stopped)
    regret = max(0.0, found.best_values[0] - float(all_ends.min()))
    audited = len(found.audited)
    return truth, count / audited, *ends, audited, found.regret, regret


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.audit")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = csv.writer(sys.stdout, lineterminator="\n")
    names = "trials,spread,share,studies,audited,truth,estimate,coverage,width"
    rows.writerow([*names.split(","), "regret_seen", "regret"])
    for trials in (50, 200):
        for spread in (1.0, 4.0):
            for share in (0.1, 0.3):
                rng = np.random.default_rng(options.seed)
                done = [
                    one_study(rng, trials, spread, share)
                    for _ in range(options.studies)
                ]
                found = np.array([one for one in done if one is not None])
                truth, estimate, low, high, audited, seen, regret = found.T
                held = (low <= truth + 1e-9) & (truth - 1e-9 <= high)
                means = [held, high - low, seen, regret]
                rows.writerow(
                    [trials, spread, share, len(found)]
                    + [f"{audited.mean():.1f}", f"{truth.mean():.4f}"]
                    + [f"{estimate.mean():.4f}"]
                    + [f"{mean.mean():.4f}" for mean in means]
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
