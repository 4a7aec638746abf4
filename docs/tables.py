"""Tables of the reference that are read out of the code: fields, keys, rooms.

A page says where one stands by a line of its own, `<!-- table: NAME -->`; the name is a
key of `TABLES`.
"""

import argparse
import dataclasses
import functools
import importlib
import inspect
import re
from collections.abc import Callable

from import_graph import ROOT, size_table
from pages import room_docstrings

from orthotune.config.reference import attribute_docstrings, described_fields
from orthotune.config.trial import TrialConfig
from orthotune.design.ablation import Ablation, Claim
from orthotune.design.ablation_file import TOP_LEVEL as ABLATION_KEYS
from orthotune.design.retune import Retune
from orthotune.schema.fields import leaves
from orthotune.schema.rules import RULE, Rule
from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    JointParameter,
)
from orthotune.space.settings import StudySettings
from orthotune.text import markdown_table

PLACE = re.compile(r"^<!-- table: (.+) -->$", re.MULTILINE)


def filled(page: str) -> str:
    """A page with its tables in their places.

    Raises:
        KeyError: If it names one that there is not.
    """
    return PLACE.sub(lambda place: TABLES[place[1]](), page)


def fields(section: type, owner: str = "") -> str:
    """What a dataclass of settings holds, a field a row.

    Args:
        section: The dataclass, whose fields have rules.
        owner: Dotted name of it in a file; empty for the whole.
    """
    prefix = f"{owner}." if owner else ""
    defaults = dict(leaves(section()))
    rows = [("key", "value", "default", "meaning")]
    for name, rule, meaning in described_fields(section):
        value = defaults[name]
        rows.append((f"`{prefix}{name}`", _allowed(rule), _default(value), meaning))
    return _table(rows)


def _table(rows: list[tuple[str, ...]]) -> str:
    return "\n" + markdown_table(rows) + "\n"


def _allowed(rule: Rule) -> str:
    return rule.describe().removeprefix("one of ")


def _default(value: object) -> str:
    words = {None: "null", True: "true", False: "false"}
    known = value is None or isinstance(value, bool)
    return f"`{words[value] if known else value}`"


def arguments(cls: type, *names: str) -> str:
    """What the docstring of a class says of its arguments, a row each.

    Args:
        cls: The class.
        names: Those of interest; all, if none is given.
    """
    found = _arguments(cls)
    rows = [("key", "meaning"), *((f"`{n}`", found[n]) for n in names or found)]
    return _table(rows)


def _arguments(cls: type) -> dict[str, str]:
    text = inspect.cleandoc(cls.__doc__ or "")
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", text, re.MULTILINE)
    entries = re.findall(
        r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE
    )
    return {name: " ".join(meaning.split()) for name, meaning in entries}


def options(module: str) -> str:
    """The options of a command, a row each.

    Args:
        module: Its module's name.
    """
    parser = importlib.import_module(f"orthotune.commands.{module}").COMMAND.parser(
        module
    )
    rows = [("option", "does")]
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or action.dest == "help":
            continue
        name = ", ".join(action.option_strings) or str(action.metavar)
        value = f" {action.metavar}" if action.option_strings and action.metavar else ""
        rows.append((f"`{name}{value}`", " ".join(str(action.help).split())))
    return _table(rows)


def rooms() -> str:
    """What every room says of itself, a paragraph each."""
    return "\n".join(
        f"- **`orthotune/{name}`**: {' '.join(text.split())}"
        for name, text in room_docstrings()
    )


SECTIONS = {
    item.name: item.type
    for item in dataclasses.fields(TrialConfig)
    if RULE not in item.metadata
}
"""The sections of a trial's configuration."""


_NUMBER = ("low", "high", "log", "step", "when")
"""The keys of a parameter that is a number."""


def _seed() -> str:
    meaning = attribute_docstrings(TrialConfig)["seed"]
    rule = next(i for i in dataclasses.fields(TrialConfig) if i.name == "seed")
    default = _default(TrialConfig().seed)
    row = ("`seed`", _allowed(rule.metadata[RULE]), default, meaning)
    return _table([("key", "value", "default", "meaning"), row])


TABLES: dict[str, Callable[[], str]] = {
    **{
        f"fields {name}": functools.partial(fields, section, name)  # pyright: ignore[reportArgumentType]
        for name, section in SECTIONS.items()
    },
    "fields seed": _seed,
    "study file": functools.partial(fields, StudySettings),
    "parameter float": functools.partial(arguments, FloatParameter, *_NUMBER),
    "parameter int": functools.partial(arguments, IntParameter, *_NUMBER),
    "parameter categorical": functools.partial(
        arguments, CategoricalParameter, "choices", "when"
    ),
    "parameter joint": functools.partial(arguments, JointParameter, "choices", "when"),
    "ablation file": functools.partial(
        arguments,
        Ablation,
        *(key for key in ABLATION_KEYS if key not in ("full", "baseline")),
    ),
    "claim": functools.partial(arguments, Claim, "better", "than", "by"),
    "retune": functools.partial(arguments, Retune, "num_trials", "seed"),
    **{
        f"options {name}": functools.partial(options, name)
        for name in ("search", "confirm", "ablate", "train", "pack")
    },
    "rooms": rooms,
    "sizes": lambda: f"\n{size_table(ROOT)}\n",
}
"""What may stand in a page, by the name it is asked for."""
