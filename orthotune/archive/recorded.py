"""A search as its record says it was asked, to be confirmed without its file."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from orthotune.archive.loaded import LoadedStudy, load_study
from orthotune.config.trial import NO_RESULT
from orthotune.errors import StudyError
from orthotune.record.confirmation import with_begun
from orthotune.record.population import population
from orthotune.record.study_definition import Study
from orthotune.space.settings import CONFIRMED_SCHEDULES, ConfirmSettings
from orthotune.storage.folder import is_remote
from orthotune.study.study_file import read_study

TYPES = {
    "FloatParameter": "float",
    "IntParameter": "int",
    "CategoricalParameter": "categorical",
    "JointParameter": "joint",
}
"""What a study file calls the parameters of a definition."""


def recorded_study(
    name_or_path: str,
    storage: str,
    *,
    top: int | None = None,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[LoadedStudy, Study]:
    """A study that was searched, of which only the best are to be confirmed.

    Args:
        name_or_path: Its name, or the path of its folder.
        storage: Where studies of that name are.
        top: How many of its trials; as many as was begun, or three.
        seeds: With how many fresh seeds; likewise.
        overrides: As `--set` of a search: what no result depends on.

    Returns:
        The study as it was found, and as it is to run.

    Raises:
        StudyError: If there is none, it cannot be read, or is no search.
        SearchSpaceError: If something in `overrides`, or a number, is not allowed.
    """
    found = load_study(name_or_path, storage)
    if not is_remote(found.storage):  # it may be the path of its folder
        found = LoadedStudy(found.folder.name, str(found.folder.parent))
    if "search.searcher" not in found.definition:
        raise StudyError(
            f"The study {found.name} must be a search to be confirmed, but is an "
            "ablation: its arms have their seeds. Give its file more `seeds`."
        )
    begun, seeds_before = found.confirmation, "search.validation_seeds"
    usual = begun or ConfirmSettings(
        top=CONFIRMED_SCHEDULES, seeds=found.definition.get(seeds_before, 3)
    )
    file = _file(found)
    file["search"] |= {
        "confirm.top": usual.top if top is None else top,
        "confirm.seeds": usual.seeds if seeds is None else seeds,
    }
    study = read_study(file, overrides)
    return found, dataclasses.replace(with_begun(study, begun), searched=True)


def _file(found: LoadedStudy) -> dict[str, Any]:
    """What a study file would say that asks the same."""
    asked = found.definition
    search = _section(asked, "search")
    search.pop("validation_seeds", None)
    # Of a grid it follows from the space, and of a population it is in the question.
    if search["searcher"] != "grid" and "num_trials" not in search:
        search["num_trials"] = max(1, len(population(found.records)))
    fixed = _section(asked, "fixed")
    first = found.records[0].fields if found.records else {}
    fixed |= {name: first[name] for name in NO_RESULT if name in first}
    space = {name: _parameter(one) for name, one in _section(asked, "space").items()}
    constraints = asked.get("constraints", [])
    return {
        "name": found.name,
        "metric": asked["metric"],
        "search": search,
        "fixed": fixed,
        "space": space,
        **({"constraints": constraints} if constraints else {}),
    }


def _section(asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): value
        for key, value in asked.items()
        if key.startswith(prefix)
    }


def _parameter(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter as a file says it, of its definition."""
    entry = {
        name: value
        for name, value in asked.items()
        if name not in ("type", "name", "sets", "when") and value is not None
    }
    if "sets" in asked:
        rows = asked["choices"]
        entry["choices"] = [dict(zip(asked["sets"], row, strict=True)) for row in rows]
    when = {name: _wanted(value) for name, value in asked["when"].items()}
    return {"type": TYPES[asked["type"]], **entry, **({"when": when} if when else {})}


def _wanted(value: Any) -> Any:  # noqa: ANN401 - of any field
    """What a condition wants, as a file says it."""
    if not isinstance(value, Mapping):
        return value
    if "one_of" in value:
        return value["one_of"]
    return {name: bound for name, bound in value.items() if bound is not None}
