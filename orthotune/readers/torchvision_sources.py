"""Data sets that torchvision reads."""

from orthotune.config.contracts import DataPlace
from orthotune.data.dataset import Source
from orthotune.readers.torchvision_reader import read_parts


def torchvision_source(
    name: str,
    num_classes: int,
    place: DataPlace,
    *,
    flips: bool,
    by_split: bool = False,
) -> Source:
    """One of torchvision's data sets.

    Args:
        name: torchvision's class.
        num_classes: Classes.
        place: Where its files are.
        flips: Whether a mirror image keeps its class.
        by_split: Whether the class takes `split="train"` rather than `train=True`.

    Raises:
        DataUnreadableError: As `read_parts`.
    """
    parts = [{"train": True}, {"train": False}]
    if by_split:
        parts = [{"split": "train"}, {"split": "test"}]
    (images, targets), (test_images, test_targets) = read_parts(
        name, place.root, parts, num_classes, download=place.download
    )
    return Source(
        images=images,
        targets=targets,
        test_images=test_images,
        test_targets=test_targets,
        num_classes=num_classes,
        flips=flips,
    )
