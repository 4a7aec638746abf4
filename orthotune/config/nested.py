"""Sections within sections (`model: {depth: 8}`) as the dotted names they stand for."""

from collections.abc import Mapping
from typing import Any

from orthotune.errors import ConfigError


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted name, however they were nested; flat names stay as they are.

    Args:
        values: A mapping of names to values, or to mappings of the rest of the names.

    Raises:
        ConfigError: If a name is there in both ways.

    Example:
        >>> flattened({"optimizer": {"lr": 0.1, "schedule.kind": "step"}, "seed": 3})
        {'optimizer.lr': 0.1, 'optimizer.schedule.kind': 'step', 'seed': 3}
        >>> flattened({"optimizer": {"lr": 0.1}, "optimizer.lr": 0.2})
        Traceback (most recent call last):
        orthotune.errors.ConfigError: `optimizer.lr` must be given once, but is there \
both by its dotted name and within a section. Delete one.
    """
    flat: dict[str, Any] = {}
    _flatten(values, "", flat)
    return flat


def _flatten(values: Mapping[str, Any], prefix: str, flat: dict[str, Any]) -> None:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            _flatten(value, f"{name}.", flat)
        elif name in flat:
            raise ConfigError(
                name,
                "must be given once, but is there both by its dotted name and within "
                "a section. Delete one.",
            )
        else:
            flat[name] = value
