"""The ingredients there are, by kind and name: ours and those of others, in one table.

An ingredient is a function under a name. What it takes first is a dataclass of its own
settings, whose fields become fields of a trial (`model.my_net.width`), or the section
of the configuration that its kind belongs to, or neither.

The table fills itself when it is first looked into: `ALWAYS`, then what installed
packages offer under the entry point `ENTRY_POINT`. Everything comes in by `register`.
"""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, overload

from orthotune.console import note
from orthotune.errors import PluginError, cut
from orthotune.schema.kinds import KINDS, Kind

ALWAYS = ("orthotune.builtin",)
"""Modules that register ingredients, imported by name: they are above this one."""

ENTRY_POINT = "orthotune.plugins"
"""The group of entry points whose modules register ingredients."""

SECTION_OF = "section_of"
"""Key of a kind's name in the metadata of the field `own` of its section."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A function under a name.

    Args:
        kind: Of what it makes.
        name: As configurations say it.
        make: The function.
        settings: The dataclass it takes first; None if it takes none.
        of_section: Whether that is its kind's section.
        reads: The fields of the section that it reads.
        module: Where it is defined.
    """

    kind: Kind
    name: str
    make: Callable[..., Any]
    settings: type | None
    of_section: bool
    reads: frozenset[str]
    module: str

    @property
    def is_ours(self) -> bool:
        """Whether it comes with orthotune."""
        return self.module.partition(".")[0] == __name__.partition(".")[0]

    @property
    def own_settings(self) -> type | None:
        """The dataclass whose fields are its own; None if it has none."""
        return None if self.of_section else self.settings

    def of(self, section: Any, *arguments: object) -> Any:  # noqa: ANN401 - what it makes
        """What it makes.

        Args:
            section: The section of the configuration that names it.
            *arguments: What its kind gives.
        """
        if self.settings is None:
            return self.make(*arguments)
        given = section if self.of_section else own_of(section, self)
        return self.make(given, *arguments)


def own_of(section: Any, ingredient: Ingredient) -> Any:  # noqa: ANN401 - its settings
    """The settings of an ingredient in a section; their defaults if it says nothing."""
    found = dict(section.own).get(ingredient.name)
    return default_of(ingredient) if found is None else found


def default_of(ingredient: Ingredient) -> Any:  # noqa: ANN401 - its settings
    """The settings of an ingredient where nothing is said."""
    if ingredient.own_settings is None:
        return None
    return ingredient.own_settings()


class _Table:
    """What is registered, by kind and name."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Ingredient]] = {name: {} for name in KINDS}
        self.version = 0
        self.is_filled = False

    def fill(self) -> None:
        """Register what is always there, once."""
        if self.is_filled:
            return
        self.is_filled = True  # first: what is imported may look into the table
        for module in ALWAYS:
            importlib.import_module(module)
        for entry in entry_points(group=ENTRY_POINT):
            try:
                entry.load()
            except Exception as err:  # of a package that has nothing to do with us
                why = f"{type(err).__name__}: {err}"
                note(
                    f"warning: the installed plug-in {entry.name} ({entry.value}) "
                    f"cannot be loaded ({cut(why)}), and is left out."
                )


_TABLE = _Table()


def version() -> int:
    """A number that changes whenever something is registered."""
    _TABLE.fill()
    return _TABLE.version


def ingredients(kind: str) -> dict[str, Ingredient]:
    """All of a kind, by name, ours first.

    Example:
        >>> list(ingredients("network"))[:2]
        ['plain', 'residual']
    """
    _TABLE.fill()
    return dict(_TABLE.found[kind])


def ingredient(kind: str, name: str) -> Ingredient:
    """The one of this name.

    Raises:
        KeyError: If there is none; a checked configuration names none such.
    """
    _TABLE.fill()
    return _TABLE.found[kind][name]


class Names(Sequence[str]):
    """The names a choice of a kind may hold, as they are at any moment.

    Args:
        kind: The kind.

    Example:
        >>> "plain" in Names("network"), "none" in Names("regularizer")
        (True, True)
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def _all(self) -> tuple[str, ...]:
        return (*ingredients(self.kind), *KINDS[self.kind].words)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        """The names in their order."""
        return self._all()[index]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._all())

    def __iter__(self) -> Iterator[str]:
        """The names in their order."""
        return iter(self._all())

    def __contains__(self, name: object) -> bool:
        """Whether one is there."""
        return name in self._all()


def check_name(kind: str, name: object) -> None:
    """Refuse what cannot be the name of an ingredient.

    Raises:
        PluginError: With what can.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(
            f"@orthotune.{kind} must have a name of lower-case letters, digits and _ "
            f'as its argument, but got {cut(repr(name))}. For example: "my_{kind}".'
        )
    if name in KINDS[kind].words:
        raise PluginError(
            f"@orthotune.{kind}({name!r}) must have another name: {name} has a meaning."
        )


def register(
    kind: str,
    name: str,
    function: Callable[..., Any],
    reads: Sequence[str],
    check: Callable[[type, str], None],
) -> None:
    """Put a function under a name.

    Args:
        kind: Of what it makes.
        name: The name.
        function: The function.
        reads: Fields of its kind's section that it reads.
        check: Refuses settings of its own that cannot be fields; given how the
            decorator is shown.

    Raises:
        PluginError: If it cannot be an ingredient, or the name is taken.
    """
    shown = f"@orthotune.{kind}({name!r})"
    _TABLE.fill()
    known = _TABLE.found[kind]
    made = _described(KINDS[kind], name, function, frozenset(reads), shown)
    if made.own_settings is not None:
        _check_defaults(made.own_settings, shown)
        check(made.own_settings, shown)
    if name in known and not _is_same(known[name], made):
        raise PluginError(
            f"{shown} must have a name that is free, but {known[name].module} has "
            "registered it. Choose another one."
        )
    known[name] = made
    _TABLE.version += 1


def forget(modules: Sequence[str]) -> None:
    """Take out what modules have registered, before they are imported anew."""
    for known in _TABLE.found.values():
        for name in [name for name, one in known.items() if one.module in modules]:
            del known[name]
    _TABLE.version += 1


def _is_same(before: Ingredient, now: Ingredient) -> bool:
    """Whether a function is that of before, in a module that was read again."""
    names = (before.make.__qualname__, now.make.__qualname__)
    return before.module == now.module and names[0] == names[1]


def _described(
    kind: Kind,
    name: str,
    function: Callable[..., Any],
    reads: frozenset[str],
    shown: str,
) -> Ingredient:
    if not inspect.isroutine(function):
        raise PluginError(
            f"{shown} must stand on a function, but stands on "
            f"{cut(repr(function))}. Write a function that returns what is wanted."
        )
    wanted = f"({', '.join(['settings', *kind.gets])})"
    parameters = list(inspect.signature(function).parameters.values())
    plain = (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.POSITIONAL_ONLY,
    )
    number = len(kind.gets)
    if len(parameters) not in (number, number + 1) or any(
        one.kind not in plain for one in parameters
    ):
        raise PluginError(
            f"{shown} must stand on a function of {wanted}, or of the same without "
            f"settings, but {function.__name__}{inspect.signature(function)} is "
            "another."
        )
    settings = None
    if len(parameters) > number:
        settings = _annotated(function, parameters[0], shown)
    section_of = _section_of(settings)
    if section_of not in (None, kind.name):
        raise PluginError(
            f"{shown} must take settings of its own, or the section of a {kind.name}, "
            f"but takes that of a {section_of}."
        )
    return Ingredient(
        kind=kind,
        name=name,
        make=function,
        settings=settings,
        of_section=section_of is not None,
        reads=reads,
        module=function.__module__,
    )


def _annotated(
    function: Callable[..., Any], parameter: inspect.Parameter, shown: str
) -> type:
    """The dataclass that a function says it takes first."""
    found = parameter.annotation
    if isinstance(found, str):  # of `from __future__ import annotations`
        found = getattr(function, "__globals__", {}).get(found, found)
    if isinstance(found, type) and dataclasses.is_dataclass(found):
        return found
    what = "nothing" if found is inspect.Parameter.empty else repr(found)
    raise PluginError(
        f"{shown} must say which dataclass of settings it takes, but "
        f"`{parameter.name}` is annotated with {cut(what)}. Write {parameter.name}: "
        "MySettings, a dataclass of the module."
    )


def _section_of(settings: type | None) -> str | None:
    """The kind whose section a dataclass is; None if it is none of ours."""
    for item in dataclasses.fields(settings) if settings is not None else ():
        if SECTION_OF in item.metadata:
            return item.metadata[SECTION_OF]
    return None


def _check_defaults(settings: type, shown: str) -> None:
    """Refuse settings that cannot be made without arguments."""
    try:
        settings()
    except Exception as err:  # of a user's own code
        why = f"{type(err).__name__}: {err}"
        raise PluginError(
            f"{shown} must take settings whose fields all have defaults, but "
            f"{settings.__name__}() says: {cut(why)}."
        ) from err
