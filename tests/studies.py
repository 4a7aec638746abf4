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
