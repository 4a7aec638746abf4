"""Ten spaces as people write them for other tools, in the words of our files."""

import itertools
import json
import math
import random

import pytest

from orthotune.config.trial import TrialConfig
from orthotune.study.study_file import read_study
from orthotune.tune.sequence_searcher import sequence
from tests.ray_part import Session
from tests.study.study_files import write

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental.*")

SPACES = {
    # W&B: method grid, every parameter a list of values.
    "wandb_grid": """
search: {searcher: grid, max_epochs: 2, scheduler: none}
fixed: {data: {name: synthetic}}
space:
  optimizer:
    lr: {type: categorical, choices: [0.01, 0.03, 0.1]}
    momentum: {type: categorical, choices: [0.0, 0.9]}
  data.batch_size: {type: categorical, choices: [32, 64]}
""",
    # W&B: method bayes, nested parameters, q_log_uniform and a metric to maximize.
    "wandb_bayes_nested": """
metric: val_accuracy
mode: max
search: {searcher: tpe, max_epochs: 3}
space:
  optimizer:
    lr: {type: float, low: 1e-4, high: 1e-1, log: true}
    schedule:
      warmup: {type: float, low: 0, high: 0.5}
  regularizer:
    coeff: {type: float, low: 1e-6, high: 1e-2, log: true}
  model.depth: {type: int, low: 8, high: 44, step: 6}
""",
    # NNI: a choice whose options have parameters of their own.
    "nni_nested_choice": """
search: {searcher: tpe, max_epochs: 2}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  regularizer.kind: {type: categorical, choices: [none, l2, orthonormal]}
  regularizer.coeff:
    type: float
    low: 1e-6
    high: 1e-2
    log: true
    when: {regularizer.kind: [l2, orthonormal]}
  regularizer.schedule.kind:
    type: categorical
    choices: [constant, cosine]
    when: {regularizer: {kind: orthonormal}}
""",
    # NNI: quniform, loguniform, randint.
    "nni_quniform": """
search: {searcher: random, max_epochs: 2}
space:
  optimizer.momentum: {type: float, low: 0.5, high: 0.95, step: 0.05}
  optimizer.lr: {type: float, low: 1e-3, high: 1, log: true}
  seed: {type: int, low: 0, high: 9}
""",
    # Ray: sample_from with a lambda that looks at another parameter.
    "ray_dependent": """
search: {searcher: random, max_epochs: 2}
space:
  model.depth: {type: int, low: 8, high: 110, step: 6}
  data.batch_size: {type: categorical, choices: [16, 32, 64, 128, 256]}
constraints: ["model.depth * data.batch_size <= 8000"]
""",
    # Ray: whole configurations to choose from, sizes that belong together.
    "ray_presets": """
search: {searcher: tpe, max_epochs: 2}
space:
  size:
    type: joint
    choices:
      - {model.depth: 8, model.widths: [4, 4, 8], data.batch_size: 128}
      - {model.depth: 20, model.widths: [8, 8, 8], data.batch_size: 64}
      - {model: {depth: 44, widths: [4, 4, 4]}, data: {batch_size: 32}}
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
""",
    # Optuna: define-by-run, layers that ask for more settings from a depth on.
    "optuna_deep_only": """
search: {searcher: tpe, max_epochs: 2}
space:
  model.depth: {type: int, low: 8, high: 110, step: 6}
  modulation.enabled:
    type: categorical
    choices: [true, false]
    when: {model.depth: {low: 56}}
  modulation.threshold:
    type: float
    low: 0
    high: 0.5
    when: {modulation.enabled: true}
""",
    # Optuna: a constrained study with the Gaussian process.
    "optuna_constrained": """
search: {searcher: gp, max_epochs: 2}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  optimizer.momentum: {type: float, low: 0, high: 0.99}
constraints:
  - optimizer.lr / (1 - optimizer.momentum) <= 0.5
  - 0.002 <= optimizer.lr / (1 - optimizer.momentum)
""",
    # Optuna: QMCSampler before another sampler takes over.
    "optuna_qmc": """
search.searcher: qmc
search: {max_epochs: 2}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  optimizer.momentum: {type: float, low: 0, high: 0.99}
  init.scheme: {type: categorical, choices: [he, orthonormal]}
  init.batch_norm_bias:
    type: float
    low: 0
    high: 1
    when: {optimizer.momentum: {high: 0.5}}
""",
    # Hyperopt's hp.choice of optimizers with their rates, as Ray users carry it over.
    "hyperopt_schedules": """
search: {searcher: tpe, max_epochs: 4}
fixed:
  optimizer: {nesterov: true}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  optimizer.schedule.kind: {type: categorical, choices: [multistep, cosine, constant]}
  optimizer.schedule.milestones:
    type: categorical
    choices: [[0.5], [0.5, 0.75]]
    when: {optimizer.schedule.kind: multistep}
  optimizer.schedule.gamma:
    type: float
    low: 0.1
    high: 0.5
    when: {optimizer.schedule.milestones: [[0.5, 0.75]]}
""",
}


def effective(fields):
    return fields["optimizer.lr"] / (1 - fields["optimizer.momentum"])


def has(fields, name, wanted):
    """A field is there exactly where it is wanted."""
    return (name in fields) == wanted


PRESETS = [(8, [4, 4, 8], 128), (20, [8, 8, 8], 64), (44, [4, 4, 4], 32)]

RULES = {
    "wandb_grid": lambda f: f["data.name"] == "synthetic",
    "wandb_bayes_nested": lambda f: (
        f["model.depth"] in range(8, 45, 6)
        and 0 <= f["optimizer.schedule.warmup"] <= 0.5
    ),
    "nni_nested_choice": lambda f: (
        has(f, "regularizer.coeff", f["regularizer.kind"] != "none")
        and has(f, "regularizer.schedule.kind", f["regularizer.kind"] == "orthonormal")
    ),
    "nni_quniform": lambda f: math.isclose(
        f["optimizer.momentum"] * 20, round(f["optimizer.momentum"] * 20)
    ),
    "ray_dependent": lambda f: f["model.depth"] * f["data.batch_size"] <= 8000,
    "ray_presets": lambda f: (
        (f["model.depth"], f["model.widths"], f["data.batch_size"]) in PRESETS
    ),
    "optuna_deep_only": lambda f: (
        has(f, "modulation.enabled", f["model.depth"] >= 56)
        and has(f, "modulation.threshold", f.get("modulation.enabled") is True)
    ),
    "optuna_constrained": lambda f: 0.002 <= effective(f) <= 0.5,
    "optuna_qmc": lambda f: has(
        f, "init.batch_norm_bias", f["optimizer.momentum"] <= 0.5
    ),
    "hyperopt_schedules": lambda f: (
        f["optimizer.nesterov"] is True
        and has(
            f,
            "optimizer.schedule.milestones",
            f["optimizer.schedule.kind"] == "multistep",
        )
        and has(
            f,
            "optimizer.schedule.gamma",
            f.get("optimizer.schedule.milestones") == [0.5, 0.75],
        )
    ),
}
"""What every trial of a space must be."""


def drawn(study, count):
    rng = random.Random(0)
    return [study.trial_fields(study.space.draw(rng)) for _ in range(count)]


def suggested(study, path, count):
    session, given = Session(study, path), []
    while len(given) < count and (trial := session.start()) is not None:
        session.run(trial, [0.5] * study.settings.search.max_epochs)
        given.append(trial.fields)
    return given


@pytest.mark.parametrize("name", SPACES)
def test_a_published_space_is_read_drawn_and_suggested_within_its_rules(
    name, tmp_path, path
):
    study = read_study(str(write(tmp_path, SPACES[name])))
    # Ten of the Gaussian process are random, which costs nothing.
    given = suggested(study, path, 10 if name == "optuna_constrained" else 12)
    random_ones = drawn(study, 100)
    for fields in (*given, *random_ones):
        assert TrialConfig.from_dict(fields).training.num_epochs >= 2
        assert RULES[name](fields), fields
    assert len({json.dumps(fields) for fields in given}) == len(given) >= 10
    names = {frozenset(fields) for fields in random_ones}
    assert ("when" in SPACES[name]) == (len(names) > 1)


def test_a_grid_is_every_combination_once(tmp_path, path):
    study = read_study(str(write(tmp_path, SPACES["wandb_grid"])))
    assert study.settings.search.num_trials == 12
    given = suggested(study, path, 99)
    found = {
        (f["optimizer.lr"], f["optimizer.momentum"], f["data.batch_size"])
        for f in given
    }
    product = itertools.product((0.01, 0.03, 0.1), (0.0, 0.9), (32, 64))
    assert len(given) == 12
    assert found == set(product)


def test_accuracy_maximized_is_error_minimized(tmp_path, capsys):
    settings = read_study(str(write(tmp_path, SPACES["wandb_bayes_nested"]))).settings
    assert (settings.metric, settings.mode) == ("val_error", "min")
    assert "val_accuracy is 1 - val_error" in capsys.readouterr().err


def test_a_quasi_random_sequence_has_one_point_in_each_part_of_an_axis(tmp_path):
    study = read_study(str(write(tmp_path, SPACES["optuna_qmc"])))
    points = list(itertools.islice(sequence(study), 64))
    momenta = sorted(int(64 * p["optimizer.momentum"] / 0.99) for p in points)
    assert momenta == list(range(64))
    rates = sorted(int(32 * (math.log10(p["optimizer.lr"]) + 3)) for p in points)
    assert rates == list(range(64))
    assert sum(p["init.scheme"] == "he" for p in points) == 32
