"""Ablations small enough to run in a test."""

TINY = """\
question: Does anything matter on a tiny network?
smallest_effect: 0.02
full:
  model.depth: 8
  data.name: synthetic
  data.num_train: 64
  data.batch_size: 32
  training.num_epochs: 2
factors:
  penalty:
    orthonormal: {regularizer.kind: orthonormal}
    l2: {regularizer.kind: l2, regularizer.coeff: 1e-4}
  modulation:
    "on": {modulation.enabled: true}
    "off": {modulation.enabled: false}
seeds: [1, 2, 3]
"""

RETUNE = """\
retune:
  num_trials: 3
  space:
    optimizer.lr: {type: float, low: 1e-3, high: 0.1, log: true}
    modulation.threshold:
      {type: float, low: 0.1, high: 0.5, when: {modulation.enabled: true}}
"""

FULL, L2, OFF = "full", "penalty=l2", "modulation=off"
"""Its arms."""

FIVE = TINY.replace("[1, 2, 3]", "[1, 2, 3, 4, 5]")
"""With more seeds."""
