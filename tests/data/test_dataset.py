import pytest
import torch

from orthotune.data import dataset as data


def test_a_constant_channel_is_normalized_to_finite_numbers():
    images = torch.full((4, 2, 3, 3), 7, dtype=torch.uint8)
    images[:, 1] += torch.arange(4, dtype=torch.uint8)[:, None, None]
    mean, std = data._channel_moments(images)
    assert mean.flatten().tolist() == [7, 8.5]
    assert std[1].item() == pytest.approx(1.25**0.5)
    assert std[0].item() > 0


def test_moments_are_those_of_all_chunks():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (9000, 1, 2, 2), generator=generator)
    mean, std = data._channel_moments(images.to(torch.uint8))
    assert mean.item() == pytest.approx(images.double().mean().item())
    assert std.item() == pytest.approx(images.double().std(unbiased=False).item())
