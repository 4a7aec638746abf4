# PYTHON_ARGCOMPLETE_OK
"""orthotune, or python -m orthotune: every command behind one name.

In a shell, `eval "$(register-python-argcomplete orthotune)"` completes commands,
options, shipped files, fields and studies.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import orthotune
from orthotune.commands import (
    ablate,
    confirm,
    fields,
    init,
    pack,
    search,
    studies,
    train,
    ui,
)
from orthotune.commands.common import EXIT_BAD_INPUT, run

MODULES = (search, confirm, ablate, train, studies, fields, init, ui, pack)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run a command; the exit code.

    Args:
        arguments: Those of this process by default.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks, and nobody else waits for it
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(words, argparse.Namespace(words=words[1:]))
    if "execute" not in options:
        parser.print_help(sys.stderr)
        return EXIT_BAD_INPUT
    return run(lambda: options.execute(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orthotune",
        description="Search and ablation for very deep plain convolutional networks.",
        epilog="examples:\n  orthotune search modulation\n"
        "  orthotune studies show modulation\n\n"
        "completion in bash and zsh:\n"
        '  eval "$(register-python-argcomplete orthotune)"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"orthotune {orthotune.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in MODULES:
        command = module.COMMAND
        own = commands.add_parser(command.name, help=command.summary, **command.texts())
        command.configure(own)
        own.set_defaults(execute=command.call)
    return parser


if __name__ == "__main__":
    sys.exit(main())
