"""The networks that come with orthotune."""

from typing import TYPE_CHECKING

from orthotune.config.sections import ModelConfig
from orthotune.schema.contracts import ImageShape
from orthotune.schema.decorators import network

if TYPE_CHECKING:
    from torch import nn

READS = ("depth", "widths")


@network("plain", reads=READS)
def plain(settings: ModelConfig, shape: ImageShape) -> "nn.Module":
    """A Conv-BN-ReLU network without shortcuts."""
    from orthotune.nn.networks import PlainCNN

    return PlainCNN(settings.depth, settings.widths, shape.channels, shape.num_classes)


@network("residual", reads=READS)
def residual(settings: ModelConfig, shape: ImageShape) -> "nn.Module":
    """Its counterpart with identity shortcuts."""
    from orthotune.nn.networks import ResidualCNN

    return ResidualCNN(
        settings.depth, settings.widths, shape.channels, shape.num_classes
    )
