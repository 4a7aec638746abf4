"""The network of a configuration."""

from orthotune.config.trial import TrialConfig
from orthotune.data.image_format import ImageFormat
from orthotune.nn.initialization import initialize
from orthotune.nn.networks import FAMILIES, Network
from orthotune.training.streams import Streams


def build_model(config: TrialConfig, images: ImageFormat, streams: Streams) -> Network:
    """The network of a configuration, initialized.

    Args:
        config: What it is.
        images: What it takes.
        streams: What its weights are drawn from.
    """
    model = FAMILIES[config.model.family](
        depth=config.model.depth,
        widths=config.model.widths,
        in_channels=images.in_channels,
        num_classes=images.num_classes,
    )
    init = config.init
    initialize(model, init.scheme, streams["init"], init.batch_norm_bias)
    return model
