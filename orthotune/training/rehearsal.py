"""One update of a configuration before a study begins, if others' code is in it."""

import traceback
from collections.abc import Iterable
from typing import Any

from orthotune.config.registry import Ingredient
from orthotune.config.trial import TrialConfig
from orthotune.errors import OrthotuneError, PluginError
from orthotune.training.loop import Trial

FRAMES_SHOWN = 3
"""Of the traceback of an error in somebody's own code."""


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
        frames: list[Any] = traceback.format_exception(err)[1:][-FRAMES_SHOWN:]
        raise PluginError(
            f"A trial with {names} must train, but its first batch fails:\n"
            f"{''.join(frames).rstrip()}"
        ) from err
