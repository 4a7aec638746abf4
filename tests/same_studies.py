"""What `tests.same_results` runs: configurations, studies, and where they are ended."""

import signal
from dataclasses import dataclass

from joblib import cpu_count

BASE = {
    "model.depth": 8,
    "model.widths": [4, 8, 8],
    "data.num_train": 256,
    "data.batch_size": 32,
    "training.num_epochs": 3,
}
RESIDUAL = {"model.family": "residual", "modulation.enabled": False}

CONFIGURATIONS = {
    name: BASE | fields
    for name, fields in {
        "digits": {},
        "synthetic": {"data.name": "synthetic"},
        "l2": {"regularizer.kind": "l2", "regularizer.coeff": 1e-3, "seed": 7},
        "no penalty": {"regularizer.kind": "none", "model.depth": 14},
        "no modulation": {"modulation.enabled": False, "model.depth": 20},
        "residual": {**RESIDUAL, "optimizer.nesterov": True},
        "residual, l2": {**RESIDUAL, "regularizer.kind": "l2", "init.scheme": "he"},
        "bf16": {"training.precision": "bf16"},
        "running statistics": {"training.batch_norm": "running", "model.depth": 14},
        "augmented": {"data.augment": True, "training.evaluate_test": True},
        "in parts": {"data.num_micro_batches": 4, "init.batch_norm_bias": 0.5},
        "he": {"init.scheme": "he", "optimizer.schedule.kind": "multistep"},
        "windows": {
            "modulation.schedule.kind": "window",
            "modulation.schedule.stop": 0.5,
            "regularizer.schedule.kind": "linear",
            "modulation.strength": 0.7,
        },
        "schedule": {
            "training.num_epochs": 5,
            "changes.epochs": [1, 3],
            "changes.lr": [0.05, 0.02],
            "changes.coeff": [0.01, 0.1],
            "changes.threshold": [0.2, 0.05],
            "changes.strength": [0.5, 0.9],
        },
        "diverges": {"optimizer.lr": 100.0, "regularizer.coeff": 100.0},
    }.items()
}


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """A study's file, and the module of the command that runs it."""

    module: str
    text: str


SEARCH = """\
name: search
metric: val_loss
search:
  {num_trials: 24, max_epochs: 8, grace_epochs: 2, reduction_factor: 2, seed: 3,
   max_concurrent: 1}
fixed:
  model.depth: 14
  model.widths: [4, 8, 8]
  data.num_train: 256
  data.batch_size: 32
space:
  optimizer.lr: {type: float, low: 1e-3, high: 3, log: true}
  regularizer.kind: {type: categorical, choices: [orthonormal, l2]}
  regularizer.coeff: {type: float, low: 1e-4, high: 10, log: true}
  modulation.enabled: {type: categorical, choices: [true, false]}
  modulation.threshold:
    {type: float, low: 0, high: 0.5, when: {modulation.enabled: true}}
"""

ALONE = f"resources: {{cpus: {cpu_count()}}}\n"
"""A trial asks for all cores, so that one runs at a time."""

ABLATION = """\
name: ablation
question: Does either of two ingredients matter on a small network?
smallest_effect: 0.02
full:
  model.depth: 14
  model.widths: [4, 8, 8]
  data.num_train: 256
  data.batch_size: 32
  training.num_epochs: 6
factors:
  penalty:
    orthonormal: {regularizer.kind: orthonormal}
    l2: {regularizer.kind: l2, regularizer.coeff: 1e-4}
  modulation:
    "on": {modulation.enabled: true}
    "off": {modulation.enabled: false}
seeds: [1, 2]
retune:
  num_trials: 2
  space:
    optimizer.lr: {type: float, low: 1e-3, high: 0.1, log: true}
"""

# Where nothing diverges: what becomes of its members is not the same every time.
POPULATION = """\
name: population
metric: val_loss
search:
  {num_trials: 4, max_epochs: 6, scheduler: pbt, perturbation_epochs: 2,
   validation_seeds: 2, seed: 1}
fixed:
  model.depth: 8
  model.widths: [4, 8, 8]
  data.num_train: 96
  data.batch_size: 32
space:
  optimizer.lr: {type: float, low: 1e-3, high: 0.3, log: true}
  regularizer.coeff: {type: float, low: 1e-4, high: 0.1, log: true}
"""

STUDIES = {
    "search": StudyFile(module="search", text=SEARCH),
    "ablation": StudyFile(module="ablate", text=ABLATION + ALONE),
    "population": StudyFile(module="search", text=POPULATION + ALONE),
}

BEGUN = {
    "search": ("epoch", 32, signal.SIGINT),
    "ablation": ("epoch", 15, signal.SIGKILL),
    "population": ("lived", 1, signal.SIGINT),
}
"""After how many events of a kind a study is ended, and by which signal."""
