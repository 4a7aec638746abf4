"""The rules of fields that have none of their own, from the types they are given."""

import dataclasses
import types
import typing
from typing import Any, Literal

from orthotune.schema.rules import RULE, Rule

KINDS = (bool, int, float, str)
"""The types that a field can have."""


def rule_of(item: "dataclasses.Field[Any]", section: type) -> Rule | None:
    """The rule of a dataclass's field: its own, or what its type says.

    `int`, `float`, `bool`, `str`, a `Literal` of strings, each also in a `tuple` or
    `list`, or with `None`.

    Args:
        item: The field.
        section: The dataclass.

    Returns:
        None where the type says nothing of the kind.

    Example:
        >>> @dataclasses.dataclass
        ... class Settings:
        ...     widths: tuple[int, ...] = (8, 16)
        >>> rule_of(dataclasses.fields(Settings)[0], Settings).describe()
        'a list of integers'
    """
    if RULE in item.metadata:
        return item.metadata[RULE]
    annotation = item.type
    if isinstance(annotation, str):  # of `from __future__ import annotations`
        try:
            annotation = typing.get_type_hints(section)[item.name]
        except NameError:
            return None
    return _of(annotation)


def _of(annotation: Any) -> Rule | None:  # noqa: ANN401 - a type as somebody wrote it
    if annotation in KINDS:
        return Rule(kind=annotation)
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal and all(isinstance(part, str) for part in parts):
        return Rule(kind=str, choices=parts)
    if origin in (typing.Union, types.UnionType):
        others = [part for part in parts if part is not types.NoneType]
        found = _of(others[0]) if len(others) == 1 else None
        return found and dataclasses.replace(found, optional=True)
    if origin in (tuple, list) and parts and set(parts[1:]) <= {parts[0], Ellipsis}:
        found = _of(parts[0])
        if found is not None and found.choices is None and found.kind in (int, float):
            return dataclasses.replace(found, is_list=True)
    return None
