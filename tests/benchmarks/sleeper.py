"""A trial that does no training: it has its slot for a while, and says when.

It imports neither torch nor orthotune: its worker starts as fast as one of Ray's can.
"""

import os
import time

from ray import tune

SECONDS = "SLEEPER_SECONDS"
"""The variable in the environment of the nodes that says how long."""

BEGAN, ENDED = "train_loss", "val_loss"
"""Where the record of a study has room for two times."""

OTHERS = (
    "val_error",
    "orthonormality_penalty",
    "gram_deviation_max",
    "backward_error_ratio",
    "lr",
    "epoch_time_s",
    "images_per_s",
    "diverged",
)


class Sleeper(tune.Trainable):
    """One epoch with every metric that a study is promised."""

    def step(self):
        began = time.time()
        time.sleep(float(os.environ[SECONDS]))
        times = {BEGAN: began, ENDED: time.time()}
        return {**dict.fromkeys(OTHERS, 0.0), **times, "epoch": 1, "done": True}

    def reset_config(self, new_config):
        return True
