"""scikit-learn's digits: 1,797 images of 8x8, embedded."""

import importlib.util
from pathlib import Path

import numpy as np

from orthotune.data.dataset import Source


def digits() -> Source:
    """The images and their classes."""
    table = _digits_table()  # 64 pixels from 0 to 16, and the class
    images = table[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8)
    return Source(images=images, targets=table[:, -1], num_classes=10, flips=False)


def _digits_table() -> np.ndarray:
    """scikit-learn's digits, a row each; from its file, if it is where it has been.

    Importing scikit-learn takes a second, of every process that trains.
    """
    found = importlib.util.find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    return np.column_stack([np.asarray(pixels), np.asarray(targets)])
