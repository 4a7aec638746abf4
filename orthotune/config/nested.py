"""Sections written as mappings, brought to dotted names in one place.

`fixed: {model: {depth: 8}}` and `fixed: {model.depth: 8}` say the same, and may be
mixed; one field said in both ways is an error.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orthotune.errors import ConfigError, FileError, quoted
from orthotune.schema.rules import show
from orthotune.schema.yaml_file import MAX_NESTING, YamlFile

IsValue = Callable[[Mapping[str, Any]], bool]
"""Whether a mapping is a value, such as a parameter, and no section."""

EACH = "*"
"""In a place: whatever names stand there."""

_Keys = tuple[str, ...]


def no_value(_mapping: Mapping[str, Any]) -> bool:
    """Where every mapping is a section."""
    return False


def flattened(
    mapping: Mapping[str, Any], is_value: IsValue = no_value
) -> dict[str, Any]:
    """The values of a mapping of sections, by dotted name.

    Args:
        mapping: Names, or sections of names, to any depth. An empty mapping is a value.
        is_value: Tells mappings that are values.

    Raises:
        ConfigError: If a name is given in two ways, is no word, or is too deep.

    Example:
        >>> flattened({"model": {"depth": 8}, "optimizer.lr": 0.1})
        {'model.depth': 8, 'optimizer.lr': 0.1}
        >>> flattened({"model": {"depth": 8}, "model.depth": 20})
        Traceback (most recent call last):
        orthotune.errors.ConfigError: `model.depth` must be given once, but is given \
as a dotted name and in a section. Delete one.
    """
    found: dict[str, Any] = {}
    for keys, value in _leaves(mapping, is_value):
        name = ".".join(keys)
        if name in found:
            raise ConfigError(
                name,
                "must be given once, but is given as a dotted name and in a section. "
                "Delete one.",
            )
        found[name] = value
    return found


def unnested(
    file: YamlFile, *, dotted: Sequence[str] = (), places: Mapping[_Keys, IsValue]
) -> YamlFile:
    """A file with dotted names in place of sections, each with its own line.

    Args:
        file: The file.
        dotted: Sections of its top level that a dotted key may reach into
            (`search.num_trials: 3`).
        places: Where fields stand, and which mappings there are values; `EACH` stands
            for any name.

    Raises:
        FileError: If a name is given in two ways; with both lines.

    Example:
        >>> file = YamlFile(
        ...     path="a.yaml",
        ...     data={"fixed": {"model": {"depth": 8}}},
        ...     lines={("fixed",): 1, ("fixed", "model", "depth"): 3},
        ... )
        >>> flat = unnested(file, places={("fixed",): no_value})
        >>> flat.data, flat.where("fixed", "model.depth")
        ({'fixed': {'model.depth': 8}}, 'a.yaml:3')
    """
    file = _reached(file, dotted)
    data, moved = file.data, {}
    for place, is_value in places.items():
        for at in _matching(data, place):
            section, own = _flat(file, at, _at(data, at), is_value)
            data, moved = _with(data, at, section), moved | own
    return replace(file, data=data, lines=_moved(file.lines, moved))


def _leaves(
    mapping: Mapping[str, Any], is_value: IsValue, above: _Keys = ()
) -> Iterator[tuple[_Keys, Any]]:
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise ConfigError(
                ".".join(above) or str(key), f"must have words, but got {show(key)}."
            )
        keys = (*above, key)
        if not isinstance(value, Mapping) or not value or is_value(value):
            yield keys, value
        elif len(keys) == MAX_NESTING:
            raise ConfigError(
                ".".join(keys), f"must nest at most {MAX_NESTING} levels deep."
            )
        else:
            yield from _leaves(value, is_value, keys)


def _reached(file: YamlFile, dotted: Sequence[str]) -> YamlFile:
    """With the top level's dotted keys in the sections they name."""
    reaching = {
        key: tuple(key.split(".", 1))
        for key in file.data
        if key.split(".")[0] in dotted and "." in key
    }
    data = {key: value for key, value in file.data.items() if key not in reaching}
    origins: dict[_Keys, _Keys] = {}
    for key, (section, name) in reaching.items():
        inside = data.get(section)
        if not isinstance(inside, dict | None):
            raise FileError(
                f"{file.where(section)}: {quoted(section)} must be a mapping of keys, "
                f"but got {show(inside)}."
            )
        inside = inside or {}
        if name in inside:
            raise _twice(file, key, (key,), (section, name))
        data[section] = {**inside, name: file.data[key]}
        origins[key,] = (section, name)
    return replace(file, data=data, lines=_moved(file.lines, origins))


def _matching(data: Mapping[str, Any], place: _Keys) -> Iterator[_Keys]:
    """The paths of a place that hold a mapping."""
    found: list[_Keys] = [()]
    for key in place:
        found = [
            (*keys, name)
            for keys in found
            if isinstance(inside := _at(data, keys), dict)
            for name in (inside if key == EACH else [key])
        ]
    return (keys for keys in found if isinstance(_at(data, keys), dict))


def _at(data: Any, keys: _Keys) -> Any:  # noqa: ANN401 - what stands there
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _with(data: dict[str, Any], keys: _Keys, value: Any) -> dict[str, Any]:  # noqa: ANN401
    """The data with another value at some keys."""
    if not keys:
        return value
    return {**data, keys[0]: _with(data[keys[0]], keys[1:], value)}


def _flat(
    file: YamlFile, at: _Keys, section: Mapping[str, Any], is_value: IsValue
) -> tuple[dict[str, Any], dict[_Keys, _Keys]]:
    """A section by dotted names, and the new path of what was in sections of it."""
    found: dict[str, Any] = {}
    origins: dict[str, _Keys] = {}
    for keys, value in _leaves(section, is_value):
        name = ".".join(keys)
        if name in found:
            raise _twice(file, name, (*at, *keys), (*at, *origins[name]))
        found[name], origins[name] = value, keys
    moved = {
        (*at, *keys): (*at, name) for name, keys in origins.items() if len(keys) > 1
    }
    return found, moved


def _moved(
    lines: Mapping[_Keys, int], moved: Mapping[_Keys, _Keys]
) -> dict[_Keys, int]:
    """Lines by the paths that things have now."""
    if not moved:
        return dict(lines)
    found = {}
    for keys, line in lines.items():
        for length in range(len(keys), 0, -1):
            if keys[:length] in moved:
                keys = (*moved[keys[:length]], *keys[length:])
                break
        found[keys] = line
    return found


def _twice(file: YamlFile, name: str, keys: _Keys, other: _Keys) -> FileError:
    lines = sorted({file.lines.get(one, 0) for one in (keys, other)})
    if not file.lines:
        return FileError(
            f"{file.path}: must not repeat a key, but {quoted(name)} is given as a "
            "dotted name and in a section. Delete one."
        )
    return FileError(
        f"{file.path}:{lines[-1]}: must not repeat a key, but {quoted(name)} stands on "
        f"line {lines[0]} too, in another way. Delete one."
    )
