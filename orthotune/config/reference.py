"""Every field of a trial's configuration in words: meaning, what is allowed, default.

The words are those that stand under the fields of the dataclasses, so there is one text
for who reads the code and who types `orthotune fields`.
"""

import ast
import functools
import inspect
import itertools
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from orthotune.config.fields import leaves, ruled_fields
from orthotune.config.rules import Rule
from orthotune.config.trial import TrialConfig


@dataclass(frozen=True, kw_only=True)
class FieldReference:
    """What there is to say of one field.

    Args:
        name: Its dotted name.
        meaning: What it is, with unit and where its default comes from.
        allowed: What it may hold, in words.
        default: What it holds where nothing is said, as YAML has it.
    """

    name: str
    meaning: str
    allowed: str
    default: str


def field_reference() -> list[FieldReference]:
    """All fields of a `TrialConfig`, in its order.

    Example:
        >>> found = {field.name: field for field in field_reference()}
        >>> found["optimizer.momentum"].allowed, found["optimizer.momentum"].default
        ('a number in [0, 1)', '0.9')
        >>> found["model.depth"].meaning.split(",")[0]
        'Number of parametric layers'
    """
    defaults = dict(leaves(TrialConfig()))
    return [
        FieldReference(
            name=name,
            meaning=meaning,
            allowed=rule.describe(),
            default=json.dumps(defaults[name]),
        )
        for name, rule, meaning in described_fields(TrialConfig)
    ]


def described_fields(
    section: type, prefix: str = ""
) -> Iterator[tuple[str, Rule, str]]:
    """Dotted name, rule and meaning of every field of a dataclass of dataclasses.

    Example:
        >>> name, rule, meaning = next(described_fields(TrialConfig))
        >>> name, rule.describe(), meaning.split()[0]
        ('model.family', 'one of plain, residual', 'plain')
    """
    for name, rule, (owner, leaf) in ruled_fields(section, prefix):
        yield name, rule, attribute_docstrings(owner).get(leaf, "")


@functools.cache
def attribute_docstrings(section: type) -> dict[str, str]:
    """The string under each field of a class, inherited ones too, as one line.

    Example:
        >>> attribute_docstrings(FieldReference)
        {}
    """
    found = {}
    for one in reversed(section.__mro__[:-1]):
        found |= _own_docstrings(one)
    return found


def _own_docstrings(section: type) -> dict[str, str]:
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    except (OSError, TypeError, ValueError):  # typed in by a user
        return {}
    found = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for above, below in itertools.pairwise(statements):
        match above, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found
