"""orthotune fields: every field of a configuration, its meaning, range and default."""

import argparse
import textwrap

from orthotune.commands.common import EXIT_OK
from orthotune.commands.completion import completed
from orthotune.commands.parsing import Command, add_import_option
from orthotune.config.reference import FieldReference, field_reference
from orthotune.config.trial import FIELD_RULES
from orthotune.console import say
from orthotune.errors import FileError, cut
from orthotune.schema.hints import nearest

WIDTH = 80


def _configure(parser: argparse.ArgumentParser) -> None:
    add_import_option(parser)
    only = parser.add_argument(
        "filter",
        nargs="?",
        default="",
        metavar="FILTER",
        help="only fields whose names hold this (optimizer, schedule, lr)",
    )
    completed(only, lambda: FIELD_RULES)


def _fields(options: argparse.Namespace) -> int:
    found = [field for field in field_reference() if options.filter in field.name]
    if not found:
        hint = nearest(options.filter, list(FIELD_RULES))
        raise FileError(
            f"FILTER must be a part of a field's name, but got "
            f"{cut(repr(options.filter))}. {hint}"
        )
    say("\n\n".join(map(field_text, found)))
    return EXIT_OK


def field_text(field: FieldReference) -> str:
    """A field in a few lines.

    Example:
        >>> field = FieldReference(
        ...     name="seed", meaning="A seed.", allowed="an integer", default="0"
        ... )
        >>> print(field_text(field))
        seed = 0
            an integer
            A seed.
    """
    lines = [field.allowed, *textwrap.wrap(field.meaning, WIDTH - 4)]
    return "\n    ".join([f"{field.name} = {field.default}", *lines])


COMMAND = Command(
    name="fields",
    summary="List every field of a configuration: default, what is allowed, meaning.",
    examples=("orthotune fields", "orthotune fields optimizer"),
    configure=_configure,
    execute=_fields,
)
