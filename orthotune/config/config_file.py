"""A trial's configuration as a file of fields has it, such as a `best.yaml`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orthotune.config.nested import flattened, no_value, unnested
from orthotune.config.trial import TrialConfig, check_field
from orthotune.config.yaml_file import mapping_file
from orthotune.errors import ConfigError, FileError


def configured(
    config: str | Mapping[str, Any] | TrialConfig | None, settings: Mapping[str, Any]
) -> TrialConfig:
    """A configuration with single fields set over it.

    Args:
        config: A file, what it holds, or the configuration; None for the defaults.
            Fields are dotted names, or stand in sections.
        settings: The fields, likewise.

    Raises:
        FileError: If the file cannot be read, or holds what no field may; with its
            line.
        ConfigError: If a setting is not allowed.

    Example:
        >>> configured({"model.depth": 20}, {"seed": 3}).model.depth
        20
        >>> configured({"model": {"depth": 20}}, {"model": {"depth": 8}}).model.depth
        8
    """
    settings = flattened(settings)
    for name, value in settings.items():
        check_field(name, value)
    if config is None:
        return TrialConfig.from_dict(settings)
    if isinstance(config, TrialConfig):
        return TrialConfig.from_dict({**config.to_dict(), **settings})
    file = unnested(mapping_file(config), places={(): no_value})
    for name, value in file.data.items():
        try:
            check_field(name, value)
        except ConfigError as err:
            raise FileError(f"{file.where(name)}: {err}") from err
    try:
        return TrialConfig.from_dict({**file.data, **settings})
    except ConfigError as err:
        if err.field in file.data and err.field not in settings:
            raise FileError(f"{file.where(err.field)}: {err}") from err
        raise


def config_text(config: TrialConfig, comments: Sequence[str] = ()) -> str:
    """A whole configuration as a file that `orthotune train` takes.

    Args:
        config: The configuration.
        comments: Lines above it.

    Example:
        >>> config_text(TrialConfig(), ["The defaults."]).splitlines()[:2]
        ['# The defaults.', 'model.family: "plain"']
    """
    lines = [f"# {comment}" for comment in comments]
    # JSON scalars are YAML that reads back as what it was, whatever a string holds.
    lines += [
        f"{name}: {json.dumps(value)}" for name, value in config.to_dict().items()
    ]
    return "\n".join(lines) + "\n"
