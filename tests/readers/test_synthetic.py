import torch

from orthotune.config.sections import DataConfig
from orthotune.data.datasets import load_dataset
from tests.data.small_files import splits


def test_synthetic_images_are_seeded_and_can_be_told_apart():
    dataset = load_dataset(DataConfig(name="synthetic"))
    assert [len(split) for split in splits(dataset)] == [1400, 300, 300]
    assert dataset.train.images.shape == (1400, 3, 8, 8)
    assert dataset.train.images.dtype == torch.float32
    assert dataset.shape.channels == 3
    prototypes = torch.stack(
        [dataset.train.images[dataset.train.targets == k].mean(0) for k in range(10)]
    )
    distances = torch.cdist(dataset.test.images.flatten(1), prototypes.flatten(1))
    accuracy = (distances.argmin(1) == dataset.test.targets).double().mean().item()
    assert accuracy > 0.95
