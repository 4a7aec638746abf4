"""orthotune confirm: train the best trials of a search again, with fresh seeds."""

import argparse
import dataclasses
import shlex

from orthotune.commands.common import add_run_options, parse_settings
from orthotune.commands.completion import completed
from orthotune.commands.parsing import Command, add_import_option
from orthotune.commands.search import run_search


def _configure(parser: argparse.ArgumentParser) -> None:
    add_import_option(parser)
    study = parser.add_argument(
        "study", metavar="STUDY", help="the study, or the path of its folder"
    )
    completed(study, _known)
    parser.add_argument(
        "--top",
        type=int,
        metavar="N",
        help="how many of the best trials (default: as begun, or 3)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="fresh seeds for each at most; more later extend what is there (default: "
        "as begun, or 3)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set what no result depends on, such as resources.gpus=auto or "
        "data.root=DIR (repeatable)",
    )
    add_run_options(parser)


def _known() -> list[str]:
    from orthotune.api import STORAGE
    from orthotune.archive.names import study_names

    return study_names(STORAGE)


def _confirm(options: argparse.Namespace) -> int:
    from orthotune.archive.recorded import recorded_study

    found, study = recorded_study(
        options.study,
        options.storage,
        top=options.top,
        seeds=options.seeds,
        overrides=parse_settings(options.set),
    )
    options = argparse.Namespace(**{**vars(options), "storage": found.storage})
    asked = study.settings.search.confirm
    words = ["python", "-m", "orthotune", "confirm", study.settings.name]
    for name, value in dataclasses.asdict(asked).items():
        words += [f"--{name}", str(value)]
    return run_search(study, options, "orthotune confirm", shlex.join(words))


COMMAND = Command(
    name="confirm",
    summary="Train the best trials of a search again, with fresh seeds.",
    examples=(
        "orthotune confirm modulation --top 3 --seeds 5",
        "orthotune confirm studies/modulation --seeds 10",
    ),
    configure=_configure,
    execute=_confirm,
)
