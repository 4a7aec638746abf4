"""The joints to Ray Tune and Optuna: what they call, and what calls them.

What may enter: the trainable, its worker, searchers, schedulers, callbacks, stoppers,
through their public contracts. What may not: what people read, and MLflow. Read
`trainable.py` first, then `trial_runner.py`.
"""
