"""Crops and mirror images, judged by a loop over images and pixels."""

from collections import Counter

import numpy as np
import pytest
import torch

from orthotune.data.augmentation import augment


def slow_augment(images, draws, flips):
    size, channels, height, width = images.shape
    pad = max(1, height // 8)
    result = torch.empty_like(images)
    for index in range(size):
        row, column, mirror = draws[index].tolist()
        top, left = int(row * (2 * pad + 1)), int(column * (2 * pad + 1))
        for channel in range(channels):
            canvas = torch.zeros(height + 2 * pad, width + 2 * pad)
            canvas[pad : pad + height, pad : pad + width] = images[index, channel]
            crop = canvas[top : top + height, left : left + width]
            if flips and mirror < 0.5:
                crop = torch.from_numpy(np.fliplr(crop.numpy()).copy())
            result[index, channel] = crop
    return result


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize(
    "shape", [(60, 1, 8, 8), (40, 3, 32, 32), (30, 2, 5, 11), (30, 1, 16, 40)]
)
def test_augmentation_agrees_with_a_loop_over_images(shape, flips, generator):
    images = torch.randn(shape, generator=generator)
    draws = torch.rand(shape[0], 3, generator=generator)
    ours = augment(images, draws, flips)
    assert torch.equal(ours, slow_augment(images, draws, flips))
    assert ours.shape == images.shape


def test_augmented_images_are_channels_last(generator):
    images = torch.randn(6, 3, 8, 8, generator=generator)
    draws = torch.rand(6, 3, generator=generator)
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        ours = augment(given, draws, flips=True)
        assert ours.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(ours, slow_augment(images, draws, True))


def test_the_smallest_and_largest_draws_are_the_corners():
    image = torch.arange(1.0, 65.0).view(1, 1, 8, 8)
    below_one = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)).item()
    shifted = augment(image, torch.tensor([[0.0, 0.0, 0.9]]), flips=True)
    assert torch.equal(shifted[0, 0, 1:, 1:], image[0, 0, :-1, :-1])
    assert not shifted[0, 0, 0].any()
    assert not shifted[0, 0, :, 0].any()
    shifted = augment(image, torch.tensor([[below_one] * 3]), flips=True)
    assert torch.equal(shifted[0, 0, :-1, :-1], image[0, 0, 1:, 1:])


def test_every_crop_and_mirror_image_is_drawn_equally_often():
    image = torch.arange(1.0, 65.0).view(1, 1, 8, 8)
    num = 9000
    draws = torch.rand(num, 3, generator=torch.Generator().manual_seed(0))
    crops = augment(image.expand(num, -1, -1, -1), draws, flips=True)
    counts = Counter(crop.numpy().tobytes() for crop in crops)
    assert len(counts) == 18
    # Binomial: mean 500, deviation 21.7; five deviations are 109.
    assert all(391 < count < 609 for count in counts.values())


def test_nothing_is_mirrored_where_flips_are_not_allowed():
    image = torch.arange(1.0, 65.0).view(1, 1, 8, 8)
    draws = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    crops = augment(image.expand(500, -1, -1, -1), draws, flips=False)
    assert len({crop.numpy().tobytes() for crop in crops}) == 9
