"""The network of a configuration, with its initial weights."""

import functools

from torch import nn

from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError, cut
from orthotune.nn.initialization import Fill, initialize
from orthotune.nn.orthonormality import parametric_layers
from orthotune.schema.contracts import ImageShape
from orthotune.schema.registry import ingredient
from orthotune.training.streams import Streams, seeded

AS_BUILT = "as_built"


def build_network(
    config: TrialConfig, shape: ImageShape, streams: Streams
) -> nn.Module:
    """The network that a configuration names, on the CPU.

    What its function draws from torch's global generator depends on the trial's seed
    alone; that generator is as it was afterwards.

    Args:
        config: The configuration.
        shape: What it is built for.
        streams: Those of the trial; initial weights are drawn from them.

    Raises:
        ConfigError: If its function does not give a network.

    Example:
        >>> shape = ImageShape(channels=1, height=8, width=8, num_classes=10)
        >>> fields = {"model.depth": 8, "model.widths": [4, 4, 4]}
        >>> config = TrialConfig.from_dict(fields)
        >>> type(build_network(config, shape, Streams(0))).__name__
        'PlainCNN'
    """
    family = config.model.family
    with seeded(f"{config.seed}/network"):
        model = ingredient("network", family).of(config.model, shape)
    if not isinstance(model, nn.Module):
        raise ConfigError(
            "model.family",
            f"must name a function that returns an nn.Module, but {family} returned "
            f"{cut(repr(model))}. Return the network.",
        )
    if not parametric_layers(model):
        raise ConfigError(
            "model.family",
            f"must name a network with a convolution or a linear layer, but {family} "
            "has none. Only such layers are initialized and penalized.",
        )
    try:
        initialize(
            model,
            _fill(config),
            streams["init"],
            config.init.batch_norm_bias,
            by_outputs=config.init.scheme == "he",
        )
    except ValueError as err:  # of a weight that cannot be filled
        raise ConfigError(
            "init.scheme", f"must be {AS_BUILT} for {family}: {err}"
        ) from err
    return model


def _fill(config: TrialConfig) -> Fill | None:
    scheme = config.init.scheme
    if scheme == AS_BUILT:
        return None
    return functools.partial(ingredient("initialization", scheme).of, config.init)
