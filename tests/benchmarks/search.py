"""What a search finds, by what it has spent: ours against random search.

On digits: TPE with ASHA, and each of the two alone, against random search that trains
every trial to its end, with as many training epochs, the same trial seed and
independent draws. Real training, driven by our searcher and scheduler in Ray's order,
one trial at a time. The networks learn from 300 images: with all of them the
best of both searches is within one image of the other's, and nothing can be told.

A search has reached a validation error when any trial of it has, at any epoch ("ranked"
counts only the last epoch of trials with the full budget, as the table of a study
does). The target is the best that the random search of the same seed has at its end. A
search that never gets there counts with its whole budget, and is counted under `never`.
The random search's own epochs to its best are known only in hindsight, so ours is
compared with its whole budget too. What to expect of no advantage: a second random
search gets there in one of two seeds, ties aside, so a median at the whole budget.

On tables of real searches: evaluations until one is among the best 1 % and 0.1 % of all
configurations, of our searcher with TPE against random without repetition. For the
latter the median is known in closed form, while most random searches do not get there
within the evaluations we allow; they are run all the same and reported as `random`.
The first draws of a seed are the same in every table of one space, so 20 seeds on eight
tables are fewer than 160 independent searches.
"""

import concurrent.futures
import itertools
import math
import multiprocessing
import statistics
import tempfile
from pathlib import Path

from orthotune.config.trial import TrialConfig
from orthotune.study.study_file import read_study
from orthotune.training.loop import Trial
from orthotune.tune.scheduler import build_scheduler
from tests.benchmarks.rows import quartiles, ratio_row, row, say
from tests.benchmarks.tables import METRICS, names, read_table, search_table
from tests.ray_part import Session

STUDY = """\
name: digits
search: {num_trials: 100000, max_epochs: 10, grace_epochs: 3, reduction_factor: 3}
fixed: {model.depth: 20, data.name: digits, data.num_train: 300, data.batch_size: 32}
space:
  optimizer.lr: {type: float, low: 1e-4, high: 1, log: true}
  regularizer.coeff: {type: float, low: 1e-6, high: 1, log: true}
  modulation.enabled: {type: categorical, choices: [true, false]}
  modulation.threshold:
    {type: float, low: 0, high: 0.5, when: {modulation.enabled: true}}
"""
RANDOM = {"search.searcher": "random", "search.scheduler": "none"}
OURS = {
    name: {"search.searcher": searcher, "search.scheduler": scheduler}
    for name, searcher, scheduler in (
        ("TPE with ASHA", "tpe", "asha"),
        ("TPE", "tpe", "none"),
        ("random with ASHA", "random", "asha"),
    )
}
INDEPENDENT = 1_000_000
"""Added to the searcher's seed of the random search: with one seed its first trials and
those of the others would be the same."""

BUDGET_EPOCHS = 200  # random search: 20 trials
SEEDS = 20

MOST = 120
TABLE_SEEDS = 20
SHARES = (0.01, 0.001)

PROCESSES = 2


def first_at(values, target):
    """How many values it takes until one is at most the target; None if none is.

    Example:
        >>> first_at([0.5, 0.2, 0.3, 0.1], 0.2), first_at([0.5], 0.2)
        (2, None)
    """
    return next((n for n, value in enumerate(values, 1) if value <= target), None)


def random_quantile(size, good, quantile):
    """Draws without repetition by which one is good, with a probability.

    Args:
        size: Of what is drawn from.
        good: How many of it are good.
        quantile: The probability.

    Example:
        >>> random_quantile(4, 2, 0.5), random_quantile(4, 2, 0.51)
        (1, 2)
    """
    none_yet = 1.0
    for draws in range(size):
        none_yet *= (size - good - draws) / (size - draws)
        if 1 - none_yet >= quantile:
            return draws + 1
    raise ValueError(f"`good` must be at least 1, but got {good}.")


def measures(*, quick=False):
    """Every measure of this module, as rows."""
    return [*on_digits(quick=quick), *on_tables(quick=quick)]


def on_digits(*, quick=False):
    """TPE and ASHA, together and alone, against random search, on a plain network."""
    overrides = {"model.depth": 8} if quick else {}
    budget, seeds = (40, 2) if quick else (BUDGET_EPOCHS, SEEDS)
    jobs = [
        (seed, budget, arm | overrides)
        for arm in (RANDOM, *OURS.values())
        for seed in range(seeds)
    ]
    searches = iter(in_processes(search_digits, jobs, "digits"))
    random = list(itertools.islice(searches, seeds))
    network = "plain-8" if quick else "plain-20"
    rows = []
    for arm in OURS:
        pairs = list(zip(random, itertools.islice(searches, seeds), strict=True))
        rows += digits_rows(pairs, budget, f"{arm}, {network} on digits")
    return rows


def search_digits(seed, budget, overrides):
    """One search: its validation errors, epoch by epoch as they were spent.

    Returns:
        The errors; the same, with infinity for all but the last epoch of trials that
        ran to their end; the number of trials.
    """
    errors, ranked = [], []
    with tempfile.TemporaryDirectory() as folder:
        session = _digits_session(seed, Path(folder), overrides)
        while len(errors) < budget:
            given = session.start()
            trial = Trial(TrialConfig.from_dict(given.fields))
            decision = None
            while decision != "STOP" and len(errors) < budget:
                metrics = trial.run_epoch()
                errors.append(metrics["val_error"])
                full = trial.finished and not trial.diverged
                ranked.append(errors[-1] if full else math.inf)
                progress = {"epoch": trial.epoch, "done": trial.finished}
                decision = session.result(given, metrics | progress)
    return errors, ranked, session.count


def _digits_session(seed, folder, overrides):
    path = folder / "digits.yaml"
    path.write_text(STUDY)
    independent = INDEPENDENT if RANDOM.items() <= overrides.items() else 0
    seeds = {"seed": seed, "search.seed": seed + independent}
    study = read_study(str(path), overrides | seeds)
    return Session(study, folder / "record", scheduler=build_scheduler(study))


def digits_rows(pairs, budget, what):
    """What pairs of searches, random and ours, come to; `what` says which of ours."""
    errors = [(random[0], ours[0]) for random, ours in pairs]
    ranked = [(random[1], ours[1]) for random, ours in pairs]
    best = [[min(arm) for arm in pair] for pair in errors]
    trials = [[random[2], ours[2]] for random, ours in pairs]
    words = f"epochs to random search's best, {what}"
    return [
        _reached(f"{words}: its whole budget over ours", errors, budget),
        _reached(f"{words}: its own, in hindsight, over ours", errors),
        _reached(f"{words}, ranked: its whole budget over ours", ranked, budget),
        row(
            f"validation error at equal epochs, {what}: random over ours",
            statistics.median(ours for _, ours in best),
            statistics.median(random for random, _ in best),
            statistics.median(random for random, _ in best)
            / max(statistics.median(ours for _, ours in best), 1e-9),
            len(pairs),
            unit="fraction",
            better=sum(ours < random for random, ours in best),
            equal=sum(ours == random for random, ours in best),
            worse=sum(ours > random for random, ours in best),
            by_seed=[[round(error, 4) for error in pair] for pair in best],
            trials_by_seed=trials,
            epochs=budget,
        ),
    ]


def _reached(words, pairs, budget=None):
    """A row of epochs to random search's best; `budget` in place of its own."""
    theirs, mine, never = [], [], 0
    for random, ours in pairs:
        target = min(random)
        reached = first_at(ours, target)
        never += reached is None
        mine.append(reached or len(ours))
        theirs.append(budget or first_at(random, target))
    return ratio_row(
        words,
        theirs,
        mine,
        ours="below",
        unit="epochs",
        never=never,
        by_seed=[list(pair) for pair in zip(theirs, mine, strict=True)],
    )


def on_tables(*, quick=False):
    """Our searcher on tables of real searches, against random."""
    seeds, most = (3, 60) if quick else (TABLE_SEEDS, MOST)
    tables = [
        (family, name)
        for family in METRICS
        for name in names(family)[: 1 if quick else None]
    ]
    jobs = [
        (*table, searcher, seed, most)
        for table in tables
        for searcher in ("tpe", "random")
        for seed in range(seeds)
    ]
    reached = iter(in_processes(evaluations_to_top, jobs, "tables"))
    found = {family: {} for family in METRICS}
    for family, name in tables:
        tpe = list(itertools.islice(reached, seeds))
        found[family][name] = tpe, list(itertools.islice(reached, seeds))
    return [
        table_row(family, place, found[family], most)
        for family in METRICS
        for place in range(len(SHARES))
    ]


def evaluations_to_top(family, name, searcher, seed, most):
    """Evaluations until one is in each of `SHARES`; None where none is."""
    table = read_table(family, name)
    tops = [table.top(share) for share in SHARES]
    with tempfile.TemporaryDirectory() as folder:
        found = search_table(
            table, searcher, seed, most, Path(folder), enough=min(tops)
        )
    return [first_at(found, top) for top in tops]


def table_row(family, place, found, most):
    """What the searches of a family's tables come to, for one of `SHARES`.

    Args:
        family: Of the tables.
        place: Of the share in `SHARES`.
        found: By table: what `evaluations_to_top` says, of every seed; TPE and random.
        most: What a search counts with that never got there.
    """
    theirs, ours, tables, never = [], [], {}, 0
    for name, searches in found.items():
        table = read_table(family, name)
        good = table.num_at(table.top(SHARES[place]))
        median = random_quantile(len(table.values), good, 0.5)
        reached = [[seed[place] for seed in searcher] for searcher in searches]
        counted = [[count or most for count in searcher] for searcher in reached]
        tables[name] = {
            "random_exact": median,
            "tpe": _summary(reached[0], counted[0]),
            "random": _summary(reached[1], counted[1]),
        }
        never += reached[0].count(None)
        theirs += [median] * len(counted[0])
        ours += counted[0]
    return ratio_row(
        f"evaluations to the best {SHARES[place]:.1%} of {family}: random's exact "
        "median over TPE's",
        theirs,
        ours,
        ours="below",
        unit="evaluations",
        most=most,
        never=never,
        tables=tables,
    )


def _summary(reached, counted):
    return {
        "median": statistics.median(counted),
        "quartiles": quartiles(counted),
        "never": reached.count(None),
    }


def in_processes(function, jobs, words):
    """The function's value for each job, in the jobs' order."""
    context = multiprocessing.get_context("spawn")
    found = []
    with concurrent.futures.ProcessPoolExecutor(PROCESSES, context) as pool:
        for value in pool.map(function, *zip(*jobs, strict=True)):
            found.append(value)
            say(f"  {words}: {len(found)} of {len(jobs)}")
    return found
