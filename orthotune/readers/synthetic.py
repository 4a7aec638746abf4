"""Noisy prototypes that any network learns, for tests and first steps."""

import numpy as np

from orthotune.data.dataset import SPLIT_SEED, Source


def synthetic() -> Source:
    """Ten noisy prototypes at 8x8 with three channels; 2,000 images."""
    generator = np.random.default_rng(SPLIT_SEED)
    prototypes = generator.standard_normal((10, 3, 8, 8))
    targets = generator.integers(0, 10, 2000)
    noise = generator.standard_normal((2000, 3, 8, 8))
    images = (prototypes[targets] + noise).astype(np.float32)
    return Source(images=images, targets=targets, num_classes=10, flips=False)
