"""Data sets that torchvision reads."""

from collections.abc import Callable
from pathlib import Path

from orthotune.data.dataset import Source
from orthotune.data.torchvision_reader import read_parts


def torchvision_source(
    name: str, num_classes: int, flips: bool, by_split: bool = False
) -> Callable[[Path, bool], Source]:
    """A loader of one of torchvision's data sets.

    Args:
        name: torchvision's class.
        num_classes: Classes.
        flips: Whether a mirror image keeps its class.
        by_split: Whether the class takes `split="train"` rather than `train=True`.
    """

    def load(root: Path, download: bool) -> Source:
        parts = [{"train": True}, {"train": False}]
        if by_split:
            parts = [{"split": "train"}, {"split": "test"}]
        (images, targets), (test_images, test_targets) = read_parts(
            name, root, parts, num_classes, download=download
        )
        return Source(
            images=images,
            targets=targets,
            test_images=test_images,
            test_targets=test_targets,
            num_classes=num_classes,
            flips=flips,
        )

    return load
