"""A configuration as dotted names: a dataclass of dataclasses, and what is registered.

A section holds fields with rules, sections, and at most one field `own`: the settings
of what is registered for it, whose names stand in its place (`model.my_net.width`).
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orthotune.errors import ConfigError
from orthotune.schema.field_types import rule_of
from orthotune.schema.registry import (
    SECTION_OF,
    Ingredient,
    default_of,
    ingredients,
    own_of,
)
from orthotune.schema.rules import LATER, RULE, Rule

Own = tuple[tuple[str, Any], ...]
"""Settings of registered ingredients that are not as by default, by name."""


def own_settings(kind: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    """The field `own` of the section that a kind of ingredient belongs to."""
    return dataclasses.field(default=(), metadata={SECTION_OF: kind})


def check_fields(section: object) -> None:
    """Check every field of a dataclass instance that has a rule, and normalize it.

    Lists become tuples and integers in a field of floats become floats, so that equal
    configs compare equal however they were written.

    Raises:
        ConfigError: With the field's own name, without its section's.
    """
    for name, rule in _ruled(type(section)):
        value = getattr(section, name)
        rule.check(name, value)
        object.__setattr__(section, name, rule.normalize(value))


@functools.cache
def _ruled(section: type) -> Sequence[tuple[str, Rule]]:
    """The fields of a dataclass that have a rule: a search asks a thousand times."""
    fields = dataclasses.fields(section)
    return [
        (item.name, item.metadata[RULE]) for item in fields if RULE in item.metadata
    ]


def leaves(section: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and plain value (a list for a tuple) of every field, in order."""
    for item in dataclasses.fields(section):  # pyright: ignore[reportArgumentType]
        value = getattr(section, item.name)
        if SECTION_OF in item.metadata:
            for one in _with_settings(item.metadata[SECTION_OF]):
                yield from leaves(own_of(section, one), f"{prefix}{one.name}.")
        elif dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, list(value) if isinstance(value, tuple) else value


def rules(section: type, prefix: str = "") -> Iterator[tuple[str, Rule]]:
    """Dotted name and rule of every field of a dataclass of dataclasses."""
    for name, rule, _ in ruled_fields(section, prefix):
        yield name, rule


def ruled_fields(
    section: type, prefix: str = ""
) -> Iterator[tuple[str, Rule, tuple[type, str]]]:
    """Dotted name, rule, and where it stands: its dataclass and its name there."""
    for item in dataclasses.fields(section):
        if SECTION_OF in item.metadata:
            for one in _with_settings(item.metadata[SECTION_OF]):
                kind: Any = one.own_settings
                yield from ruled_fields(kind, f"{prefix}{one.name}.")
            continue
        rule = rule_of(item, section)
        if rule is not None:
            yield prefix + item.name, rule, (section, item.name)
        elif dataclasses.is_dataclass(kind := item.type):  # others follow from these
            yield from ruled_fields(kind, f"{prefix}{item.name}.")  # pyright: ignore[reportArgumentType]


def sections(section: object, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Prefix, kind of ingredient, and section, of each that ingredients belong to."""
    for item in dataclasses.fields(section):  # pyright: ignore[reportArgumentType]
        value = getattr(section, item.name)
        if SECTION_OF in item.metadata:
            yield prefix, item.metadata[SECTION_OF], section
        elif dataclasses.is_dataclass(value):
            yield from sections(value, f"{prefix}{item.name}.")


@functools.cache
def later_fields(section: type) -> Sequence[tuple[str, Any]]:
    """Dotted name and default of every field that `setting` says came later."""
    defaults = dict(leaves(_default(section)))
    return [
        (name, defaults[name])
        for name, _, (owner, leaf) in ruled_fields(section)
        if owner.__dataclass_fields__[leaf].metadata.get(LATER, False)  # pyright: ignore[reportAttributeAccessIssue]
    ]


def _with_settings(kind: str) -> list[Ingredient]:
    """The ingredients of a kind that have settings of their own."""
    found = ingredients(kind).values()
    return [one for one in found if one.own_settings is not None]


def build(section: type, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """An instance of a dataclass of dataclasses from dotted names.

    Raises:
        ConfigError: If a value is not allowed, by its dotted name.
    """
    return _build(_default(section), values, "")


def _build(default: Any, values: Mapping[str, Any], prefix: str) -> Any:  # noqa: ANN401
    """A section as its owner has it by default, but for the values given.

    Its owner's defaults may be others than its own: the learning rate's schedule is
    cosine with warm-up where others are constant.
    """
    arguments = {}
    for item in dataclasses.fields(default):
        name, value = prefix + item.name, getattr(default, item.name)
        rule = None if SECTION_OF in item.metadata else rule_of(item, type(default))
        if SECTION_OF in item.metadata:
            value = _build_own(item.metadata[SECTION_OF], default, values, prefix)
        elif rule is not None:
            value = values.get(name, value)
            if RULE not in item.metadata:  # nothing else checks it
                rule.check(name, value)
                value = rule.normalize(value)
        elif any(given.startswith(f"{name}.") for given in values):
            value = _build(value, values, f"{name}.")
        arguments[item.name] = value
    try:
        return type(default)(**arguments)
    except ConfigError as err:
        raise ConfigError(prefix + err.field, err.problem) from err


def _build_own(
    kind: str,
    section: Any,  # noqa: ANN401 - a section
    values: Mapping[str, Any],
    prefix: str,
) -> Own:
    """The settings of registered ingredients that are given other values."""
    found = []
    for one in _with_settings(kind):
        name = f"{prefix}{one.name}."
        if any(given.startswith(name) for given in values):
            made = _build_foreign(own_of(section, one), values, name)
            if made != default_of(one):
                found.append((one.name, made))
    return tuple(found)


def _build_foreign(default: Any, values: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401
    """As `_build`, of a dataclass whose own checks raise what they like."""
    try:
        return _build(default, values, name)
    except ConfigError:
        raise
    except (ValueError, TypeError) as err:
        raise ConfigError(
            name.removesuffix("."),
            f"must hold settings that {type(default).__name__} takes, but: {err}",
        ) from err


@functools.cache
def _default(section: type) -> Any:  # noqa: ANN401
    """The instance of a frozen dataclass with all defaults, checked once."""
    return section()
