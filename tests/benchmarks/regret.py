"""python -m tests.benchmarks.regret: what confirming a search's best is worth.

Studies on real tables (`tests.benchmarks.tables`), of which every configuration was
trained with 4 or 5 seeds. A study draws what each seed is for: one is what its search
sees, the next are fresh ones that confirm, the last is seen by nobody and says what the
chosen configuration is worth. One study of three searches with its whole budget and
takes what looked best; one spends a part of the same budget on racing the best over
fresh seeds; one does that after the whole search, as an addition. A csv of rows.
"""

import argparse
import csv
import gc
import statistics
import sys

import numpy as np
import optuna

from orthotune.space.parameters import IntParameter
from orthotune.statistics.racing import race
from tests.benchmarks.tables import names, read_seeds, read_table, row_of

FAMILIES = {"HPOBench": 3, "HPOLib": 2}  # seeds that confirm
TOP = 5


class Noisy:
    """A table with all its seeds: `values` of shape `(rows, seeds)`, to minimize."""

    def __init__(self, family, name):
        self.values = np.array(read_seeds(family, name))
        means = self.values.mean(axis=1)
        self.best = means.min()
        self.scale = np.median(means) - self.best  # what a random guess is off
        self.space = read_table(family, name).space


def random_rows(table, rng, most, _seen):
    """Rows in the order of a random search."""
    return rng.choice(len(table.values), most, replace=False)


def tpe_rows(table, rng, most, seen):
    """Rows in the order in which TPE asks for them, told what one seed shows."""
    sampler = optuna.samplers.TPESampler(
        seed=int(rng.integers(2**32)), multivariate=True
    )
    study = optuna.create_study(sampler=sampler)
    rows = []
    while len(rows) < most:
        trial, values = study.ask(), {}
        for one in table.space.parameters:
            if isinstance(one, IntParameter):
                values[one.name] = trial.suggest_int(one.name, one.low, one.high)
            else:
                values[one.name] = trial.suggest_categorical(one.name, one.choices)
        row = row_of(table.space, values)
        study.tell(trial, float(table.values[row, seen]))
        if row not in rows:  # a duplicate costs nothing: its result is known
            rows.append(row)
        elif len(study.trials) > 4 * most:
            break
    return np.array(rows)


def confirmed(table, rows, roles, seeds):
    """The row that wins the race of the best, and the runs that it took."""
    seen, fresh = roles[0], roles[1 : 1 + seeds]
    best = rows[np.argsort(table.values[rows, seen], kind="stable")[:TOP]]
    runs = [{} for _ in best]
    while True:
        found = race(runs, seeds)
        if not found.needed:
            break
        for one, number in found.needed:
            runs[one][number] = float(table.values[best[one], fresh[number]])
    winner = min(found.standing, key=lambda one: statistics.fmean(runs[one].values()))
    return best[winner], sum(map(len, runs))


def one_study(table, rng, search, budget, seeds):
    """What nobody saw of the three choices, and what the searches thought of theirs."""
    roles = rng.permutation(table.values.shape[1])
    seen, unseen = roles[0], roles[-1]
    rows = search(table, rng, budget, seen)
    whole = rows[np.argmin(table.values[rows, seen])]
    shorter, _ = confirmed(table, rows[: budget - TOP * seeds], roles, seeds)
    added, runs = confirmed(table, rows, roles, seeds)

    def off(row):
        return (table.values[row, unseen] - table.best) / table.scale

    curse = (table.values[whole, unseen] - table.values[whole, seen]) / table.scale
    return off(whole), off(shorter), off(added), curse, added != whole, runs


def mean(values):
    """The mean and half the width of its interval of 95 %."""
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values))
    return [f"{np.mean(values):.4f}", f"{half:.4f}"]


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.regret")
    parser.add_argument("--studies", type=int, default=100, help="of each table")
    parser.add_argument("--searcher", choices=("random", "tpe"), default="random")
    parser.add_argument("--budgets", type=int, nargs="+", default=[40, 100])
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = {"random": random_rows, "tpe": tpe_rows}[options.searcher]
    rows = csv.writer(sys.stdout, lineterminator="\n")
    header = "family,searcher,budget,studies,unconfirmed,+-,confirmed,+-,difference,+-"
    header += ",confirmed in addition,+-,winner's curse,+-,changed winner,runs"
    rows.writerow(header.split(","))
    for family, seeds in FAMILIES.items():
        tables = [Noisy(family, name) for name in names(family)]
        gc.freeze()  # statsmodels collects garbage at every correction
        for budget in options.budgets:
            rng = np.random.default_rng(budget)
            found = np.array(
                [
                    one_study(table, rng, search, budget, seeds)
                    for table in tables
                    for _ in range(options.studies)
                ]
            ).T
            whole, shorter, added, curse, changed, runs = found
            numbers = [*mean(whole), *mean(shorter), *mean(shorter - whole)]
            numbers += [*mean(added - whole), *mean(curse)]
            shares = [f"{changed.mean():.3f}", f"{runs.mean():.1f}"]
            rows.writerow(
                [family, options.searcher, budget, len(whole), *numbers, *shares]
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
