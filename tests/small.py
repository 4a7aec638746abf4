"""A trial small enough to be trained in a test, and what no two runs of it share."""

FIELDS = {
    "model.depth": 8,
    "model.widths": [4, 8, 8],
    "data.num_train": 96,
    "data.batch_size": 32,
    "data.augment": True,
}

TIMINGS = {"epoch_time_s", "images_per_s"}
"""Metrics that measure the machine, not the trial."""
