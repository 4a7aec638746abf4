"""One trial: update, loop, checkpoint, and what it needs of a machine.

What may enter: what happens between two epochs of one network. What may not: Ray,
Optuna, MLflow; a trial gives the same numbers without them. Read `loop.py` first, then
`update.py`.
"""
