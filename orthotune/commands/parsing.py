"""A command's words: one description for `orthotune NAME` and `python -m`.

We keep argparse, with argcomplete for the shell: `python -m orthotune.search` and its
messages are as they were, and nothing is imported for it that the parsing of a file
does not need.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orthotune.commands.common import run
from orthotune.config.plugins import import_plugins


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command, however it is called.

    Args:
        name: What is typed after `orthotune`.
        summary: What it does, a sentence.
        examples: Of what is typed, whole lines.
        configure: Adds its options to a parser.
        execute: Does it, and gives the exit code. Of the options, `words` are what was
            typed for them.
    """

    name: str
    summary: str
    examples: Sequence[str]
    configure: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[argparse.Namespace], int]

    def parser(self, prog: str) -> argparse.ArgumentParser:
        """Its parser, where it is called alone."""
        parser = argparse.ArgumentParser(prog=prog, **self.texts())
        self.configure(parser)
        return parser

    def texts(self) -> dict[str, Any]:
        """What a parser shows around the options."""
        return {
            "description": self.summary,
            "epilog": "\n".join(["examples:", *(f"  {one}" for one in self.examples)]),
            "formatter_class": argparse.RawDescriptionHelpFormatter,
        }

    def main(self, prog: str, arguments: Sequence[str] | None) -> int:
        """Parse, run, print; the exit code.

        Args:
            prog: How it is called.
            arguments: What follows it; those of this process by default.
        """
        words = sys.argv[1:] if arguments is None else list(arguments)
        options = self.parser(prog).parse_args(words, argparse.Namespace(words=words))
        return run(lambda: self.call(options))

    def call(self, options: argparse.Namespace) -> int:
        """Import what `--import` names, and do it; the exit code.

        Raises:
            PluginError: If a module cannot be imported.
        """
        import_plugins(getattr(options, "imports", ()))
        return self.execute(options)


def add_import_option(parser: argparse.ArgumentParser) -> None:
    """The option that names modules of one's own."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module (or file.py) that registers a network, a data set, ... "
        "of your own (repeatable)",
    )
