"""Studies small enough to run in a test."""

TINY = """\
name: tiny
search: {num_trials: 4, max_epochs: 3, grace_epochs: 1, seed: 1}
fixed:
  model.depth: 8
  data.name: synthetic
  data.num_train: 128
  data.batch_size: 64
space:
  optimizer.lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  regularizer.kind: {type: categorical, choices: [orthonormal, l2, none]}
  regularizer.coeff:
    {type: float, low: 1e-4, high: 1, log: true, when: {regularizer.kind: orthonormal}}
  model.widths: {type: categorical, choices: [[4, 4, 4], [4, 8, 8]]}
"""

# Where nothing diverges: what a member takes over depends on who is there first.
PBT = """\
name: pbt
search:
  {num_trials: 4, max_epochs: 6, scheduler: pbt, perturbation_epochs: 2, seed: 1,
   validation_seeds: 2}
fixed:
  model.depth: 8
  data.batch_size: 32
space:
  optimizer.lr: {type: float, low: 1e-3, high: 0.3, log: true}
  regularizer.coeff: {type: float, low: 1e-4, high: 0.1, log: true}
  modulation.strength: {type: float, low: 0.5, high: 1}
"""
