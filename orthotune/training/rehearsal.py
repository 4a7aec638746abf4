"""One update of a configuration before a study begins, if others' code is in it."""

from collections.abc import Iterable

from orthotune.config.plugins import own_trace
from orthotune.config.registry import Ingredient
from orthotune.config.trial import TrialConfig
from orthotune.errors import OrthotuneError, PluginError
from orthotune.training.loop import Trial


def rehearse(configs: Iterable[TrialConfig]) -> None:
    """Train a batch of each that combines others' ingredients in another way.

    A mistake in somebody's own network, penalty or optimizer is found here, and not in
    every trial of a study. What comes with orthotune alone is not tried.

    Args:
        configs: What is to be trained; the first of each combination is tried.

    Raises:
        ConfigError: If what is registered gives something else than it must.
        PluginError: If it fails, with its own error.

    Example:
        >>> rehearse([TrialConfig()])
    """
    seen = set()
    for config in configs:
        found = config.ingredients()
        foreign = tuple(sorted(config.sources()))
        key = (foreign, tuple(one.name for one in found.values()))
        if foreign and key not in seen:
            seen.add(key)
            _rehearse(config, [one for one in found.values() if not one.is_ours])


def _rehearse(config: TrialConfig, foreign: list[Ingredient]) -> None:
    names = ", ".join(dict.fromkeys(one.name for one in foreign))
    try:
        Trial(config).rehearse()
    except OrthotuneError:
        raise
    except Exception as err:  # of somebody's own code
        raise PluginError(
            f"A trial with {names} must train, but its first batch fails:\n"
            f"{own_trace(err)}"
        ) from err
