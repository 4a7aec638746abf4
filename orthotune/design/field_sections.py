"""Where fields stand in an ablation file, and may be written in sections."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orthotune.config.nested import EACH, flattened, no_value, unnested
from orthotune.errors import AblationError, ConfigError
from orthotune.schema.yaml_file import YamlFile
from orthotune.space.space_reader import is_parameter

SECTIONS = ("resources", "retune")
"""Those of the top level whose keys are no fields."""


def flat_file(file: YamlFile, references: Sequence[str]) -> YamlFile:
    """A file with dotted names in place of sections.

    Args:
        file: The file.
        references: The sections of the reference.

    Raises:
        FileError: If a name is given in two ways.
    """
    places = {
        **{(name,): no_value for name in references},
        ("arms", EACH): no_value,
        ("factors", EACH, EACH): no_value,
        ("retune", "space"): is_parameter,
    }
    return unnested(file, dotted=(*references, *SECTIONS), places=places)


def flat_overrides(
    overrides: Mapping[str, Any], top_level: Collection[str]
) -> dict[str, Any]:
    """Overrides by dotted name; a key of the file may hold a mapping, as `seeds` does.

    Args:
        overrides: As they were given.
        top_level: The keys of the file.

    Raises:
        AblationError: If a name is given in two ways.

    Example:
        >>> given = {"seeds": {"initial": 5, "max": 9}, "model": {"depth": 8}}
        >>> flat_overrides(given, ["seeds"])
        {'seeds': {'initial': 5, 'max': 9}, 'model.depth': 8}
    """
    whole = {
        key: value
        for key, value in overrides.items()
        if key in top_level and key not in SECTIONS
    }
    rest = {key: value for key, value in overrides.items() if key not in whole}
    try:
        return whole | flattened(rest)
    except ConfigError as err:
        raise AblationError(f"--set: {err}") from err
