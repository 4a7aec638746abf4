"""Random crops and mirror images of a batch."""

import torch
from torch import Tensor


def augment(images: Tensor, draws: Tensor, flips: bool) -> Tensor:
    """A random crop of each zero-padded image, and a random mirror image.

    Args:
        images: Normalized images `(B, C, H, W)`; zero is the mean.
        draws: Uniform numbers in [0, 1), shape `(B, 3)`: row, column, mirror.
        flips: Whether to mirror at all.

    Returns:
        Images of the same shape, channels last in memory. The padding is an eighth of
        the height (4 pixels at 32), at least 1.

    Example:
        >>> image = torch.arange(4.0).view(1, 1, 2, 2)
        >>> augment(image, torch.tensor([[0.5, 0.5, 0.0]]), flips=True).flatten()
        tensor([1., 0., 3., 2.])
    """
    size, _, height, width = images.shape
    pad = max(1, height // 8)
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    offsets = (draws[:, :2] * (2 * pad + 1)).long()  # (B, 2)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)  # (B, H)
    columns = torch.arange(width, device=images.device).expand(size, -1)
    if flips:
        columns = torch.where(draws[:, 2:] < 0.5, columns.flip(1), columns)
    columns = offsets[:, 1:] + columns  # (B, W)
    image = torch.arange(size, device=images.device)[:, None, None]
    # Index arrays around the channel slice put it last: (B, H, W, C), channels last.
    crops = padded[image, :, rows[:, :, None], columns[:, None, :]]
    return crops.permute(0, 3, 1, 2)
